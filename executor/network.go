package executor

import "context"

// A traffic is what a call moved over the network.
type traffic struct{ in, out uint64 }

// CountNetwork adds bytes received and sent to the bill of the call that ctx belongs
// to. Host functions that use a network call it, on the goroutine that runs them.
func CountNetwork(ctx context.Context, in, out uint64) {
	if c := CallOf(ctx); c != nil {
		c.network.in += in
		c.network.out += out
	}
}

// TakeNetwork returns the bytes that [CountNetwork] added since the last TakeNetwork.
// Engines put them on the bill of the call. c may be nil.
func (c *Call) TakeNetwork() (in, out uint64) {
	if c == nil {
		return 0, 0
	}
	n := c.network
	c.network = traffic{}
	return n.in, n.out
}
