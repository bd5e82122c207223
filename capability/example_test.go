package capability_test

import (
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/capability"
)

// A module says what it needs, a policy what a tenant may have. What the tenant may
// not have is named, with the line that decides.
func Example() {
	module := []byte("\x00asm\x01\x00\x00\x00") // a real one has more
	module, err := capability.Append(module, capability.Manifest{
		Host: []string{"wasi_ephemeral_nn"}, Models: []string{"yolo-fastest-1.1"}, Connect: []string{"maps.example.com:443"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := capability.ParsePolicy("edge.toml", []byte(`
[[tenant]]
name = "acme-*"
connect = ["*.example.com:443"]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	manifest, err := capability.Read(module)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, peer := range []string{"acme-7", "beta-1"} {
		grant, err := policy.For(peer).Grant(manifest)
		var refusal *capability.Refusal
		fmt.Println(peer, grant.Host, errors.As(err, &refusal))
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// acme-7 [wasi_ephemeral_nn] false
	// beta-1 [] true
	// tenant "beta-1" is not granted connect "maps.example.com:443": the built-in policy decides; a policy file could have connect = ["maps.example.com:443"] in [default] or in a [[tenant]]
}
