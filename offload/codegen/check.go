package codegen

import (
	"bytes"
	"context"
	"errors"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// Changed compares two encodings of In, from before a native run and from after it. It returns
// the name of the first parameter that has changed and is not carried back, "" if there is none.
func (f *Func[In, Out]) Changed(before, after []byte) string {
	if len(f.Params) == 0 || bytes.Equal(before, after) {
		return ""
	}
	a, b := pack.NewReader(before), pack.NewReader(after)
	if len(f.Params) > 1 || f.Carry != nil { // In is a struct of them
		a.Array()
		b.Array()
	}
	for _, p := range f.Params {
		x, y := next(&a), next(&b)
		if a.Err() != nil || b.Err() != nil {
			return "" // a value that does not cross
		}
		if !p.InOut && !bytes.Equal(x, y) {
			return p.Name
		}
	}
	return ""
}

// next reads a value of any kind, and returns its bytes.
func next(r *pack.Reader) []byte {
	from := r.Rest()
	r.Skip(1)
	return from[:len(from)-len(r.Rest())]
}

// checked is a native run that fails when the function has changed what a parameter refers to, and
// its mark does not have that carried back.
func (f *Func[In, Out]) checked(ctx context.Context, in In) (Out, error) {
	if f.apart(in) != nil {
		return f.Native(ctx, in) // a change of one parameter is one of another, too
	}
	before := f.AppendIn(nil, in)
	out, err := f.Native(ctx, in)
	if name := f.Changed(before, f.AppendIn(nil, in)); name != "" {
		why := errors.New("it changed what its parameter " + name + " refers to, which its caller does not see from an edge host; return the result, or write inout=" + name + " in its mark (found since BUNGEE_CHECK=1)")
		return out, &offload.CallError{Func: f.Name, Fate: offload.Ended, Err: errors.Join(why, err)}
	}
	return out, err
}
