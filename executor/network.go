package executor

import "context"

// A traffic is what a call moved over the network.
type traffic struct{ in, out uint64 }

// CountNetwork adds bytes received and sent to the bill of the call which ctx belongs
// to. Host functions that reach a network use it, on the goroutine that calls them.
func CountNetwork(ctx context.Context, in, out uint64) {
	if c := CallOf(ctx); c != nil {
		c.network.in += in
		c.network.out += out
	}
}

// TakeNetwork returns the bytes that [CountNetwork] counted since TakeNetwork was
// called last. Engines put them on the bill. A nil call has none.
func (c *Call) TakeNetwork() (in, out uint64) {
	if c == nil {
		return 0, 0
	}
	n := c.network
	c.network = traffic{}
	return n.in, n.out
}
