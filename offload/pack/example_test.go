package pack_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/offload/pack"
)

func Example() {
	b := pack.AppendArray(nil, 2)
	b = pack.AppendString(b, "dog")
	b = pack.AppendFloat32(b, 0.75)
	fmt.Printf("%x\n", b)

	r := pack.NewReader(b)
	if r.Tuple(2) {
		fmt.Println(r.String(), r.Float32())
	}
	fmt.Println(r.Done())
	// Output:
	// 92a3646f67ca3f400000
	// dog 0.75
	// <nil>
}
