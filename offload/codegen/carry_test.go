package codegen_test

import (
	"context"
	"testing"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// TestCarry holds that a guest has a variable's value of the call, and that natively nothing
// sets it.
func TestCarry(t *testing.T) {
	type in struct{ n, gain int64 }
	gain := int64(2)
	f := codegen.Func[in, int64]{
		Desc:   offload.Desc{Name: "amplified"},
		Native: func(_ context.Context, in in) (int64, error) { return in.n * gain, nil },
		AppendIn: func(b []byte, v in) []byte {
			return pack.AppendInt(pack.AppendInt(pack.AppendArray(b, 2), v.n), v.gain)
		},
		ReadIn: func(r *pack.Reader) (v in) {
			r.Array()
			return in{r.Int(), r.Int()}
		},
		AppendOut: pack.AppendInt, ReadOut: (*pack.Reader).Int,
		Carry: func(in in) { gain = in.gain },
	}
	if out, err := f.Call(t.Context(), in{3, 5}); out != 6 || err != nil || gain != 2 {
		t.Errorf("natively: %d, %v, and the variable is %d", out, err, gain)
	}
	reply := f.Serve(t.Context(), f.AppendIn(nil, in{3, 5}), nil)
	if len(reply) != 2 || reply[1] != 15 || gain != 5 {
		t.Errorf("served: %x, and the variable is %d", reply, gain)
	}
}
