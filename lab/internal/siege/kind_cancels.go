package siege

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// Calls that are given up at any moment, and answers that are not read.
var cancels = []Kind{
	{Name: "cancel-running", Share: 20, Allowed: either(givenUp), do: cancelRunning},
	{Name: "cancel-request", Share: 20, Allowed: either(givenUp), do: gives(func(c *caller) []byte { return cut(c.rand, hostileCall(fnEcho, 0, zeros()[:4000])) })},
	{Name: "cancel-answer", Share: 20, Allowed: either(givenUp), do: gives(func(c *caller) []byte { return hostileCall(fnEcho, 0, zeros()[:8000]) })},
	{Name: "cancel-module", Share: 5, Allowed: either(givenUp), do: gives(func(c *caller) []byte {
		return append(put(randomDigest(c.rand), len(Guest)), cut(c.rand, Guest)...)
	})},
	{Name: "cancel-attach", Share: 20, Allowed: either(givenUp), do: gives(func(c *caller) []byte {
		return wire.AppendAttach(nil, wire.Attach{ID: c.rand.Uint64(), Module: hostileDigest, Fn: fnHostileHandle, Window: 1})
	})},
	{Name: "cut-connection", Share: 1, Allowed: either(givenUp), do: cutConnection},
}

// gives sends something, and gives it up at once or after a moment.
func gives(make func(c *caller) []byte) func(context.Context, *caller) (Response, error) {
	return func(ctx context.Context, c *caller) (Response, error) {
		st, err := c.Open(ctx)
		if err != nil {
			return givenUp, err
		}
		c.limit(st)
		st.Write(make(c))
		c.moment(ctx)
		st.Reset()
		return givenUp, nil
	}
}

// moment lets some time pass, or none.
func (c *caller) moment(ctx context.Context) {
	if c.rand.IntN(2) == 0 {
		rest(ctx, time.Duration(c.rand.IntN(2000))*time.Microsecond)
	}
}

// cancelRunning gives up a call that never ends by itself.
func cancelRunning(ctx context.Context, c *caller) (Response, error) {
	return gives(func(*caller) []byte { return hostileCall(fnWait, time.Second, request(1)) })(ctx, c)
}

// cutConnection ends the connection in the middle of a call, of a module and of a channel.
func cutConnection(ctx context.Context, c *caller) (Response, error) {
	for _, f := range [][]byte{
		hostileCall(fnWait, time.Second, request(1)),
		binary.BigEndian.AppendUint16([]byte{byte(wire.TypePut)}, 1000),
		wire.AppendAttach(nil, wire.Attach{ID: c.rand.Uint64(), Module: hostileDigest, Fn: fnHostileHandle, Window: 1}),
	} {
		st, err := c.Open(ctx)
		if err != nil {
			return givenUp, err
		}
		st.Write(f)
	}
	c.moment(ctx)
	c.UE.Close("")
	return givenUp, c.redial(ctx)
}
