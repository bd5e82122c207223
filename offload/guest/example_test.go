package guest_test

import (
	"context"

	"github.com/bungee-xr/bungee/offload/guest"
)

// A guest registers its functions when it is initialised, as the generated file
// bungee_offload_wasip1.go does. Natively nothing is seen of it.
func Example() {
	guest.Register(func(ctx context.Context, request, dst []byte) []byte {
		return append(append(dst, 0), request...) // status 0: the rest is the result
	})
	// Output:
}
