package kernels_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
)

func Example() {
	count := map[kernels.Class]int{}
	for _, k := range kernels.All() {
		count[k.Class]++
	}
	fmt.Println(count)
	// Output: map[calls:4 float:6 integer:7 memory:5 vector:5]
}
