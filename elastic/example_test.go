package elastic_test

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/elastic"
)

// A channel whose far endpoint adds up what it is sent. An application opens its
// own with the function that offloadgen wrote for its marked type.
func ExampleChannel() {
	ctx := context.Background()
	ch, err := elastic.Open(sums(true), elastic.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ch.Close()
	for n := range int64(3) {
		m := elastic.Message[int64]{Value: n + 1, Tag: []byte{byte('a' + n)}}
		if err := ch.SendMessage(ctx, m); err != nil {
			fmt.Println(err)
			return
		}
	}
	ch.Shutdown(ctx)
	for r, err := range ch.Results(ctx) {
		fmt.Printf("%d %s: %d %v\n", r.Seq, r.Tag, r.Value, err)
	}
	// Output:
	// 1 a: 1 <nil>
	// 2 b: 33 <nil>
	// 3 c: 1026 <nil>
}
