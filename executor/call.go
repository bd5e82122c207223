package executor

import (
	"context"
	"time"
)

// A Call is what host functions, engines and pools share about a call. It travels in
// the call's context, and belongs to the goroutine that makes the call.
type Call struct {
	// Account is what the call is billed to. Nil means that nobody is billed.
	Account *Account
	// Turn is the call's right to a core. [Pool].Call sets it. Nil means that cores
	// are not counted.
	Turn *Turn
	// Entered is when the call entered its instance; zero: it has not. [Pool].Call sets it.
	Entered time.Time
	// Spans are the parts of the call's time that host functions reported.
	Spans []Span

	network traffic // see CountNetwork
}

// A Span is a named part of a call's time. Host functions report them with [AddSpan].
type Span struct {
	Name string
	Time time.Duration
}

type callKey struct{}

// maxSpans bounds the spans of one call: they travel back with the reply.
const maxSpans = 16

// WithCall returns a copy of ctx that belongs to c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the call that ctx belongs to, nil for none.
func CallOf(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// yield lets others have the core that the call may have, whether or not ctx is over.
func (c *Call) yield(ctx context.Context) {
	if c != nil && c.Turn != nil {
		c.Turn.Yield(context.WithoutCancel(ctx))
	}
}

// AccountOf returns the account that ctx.s call is billed to, nil for none.
func AccountOf(ctx context.Context) *Account {
	if c := CallOf(ctx); c != nil {
		return c.Account
	}
	return nil
}

// AddSpan adds d to the span called name of the call that ctx belongs to. A call has
// at most 16 spans; the time of others is not kept.
func AddSpan(ctx context.Context, name string, d time.Duration) {
	c := CallOf(ctx)
	if c == nil {
		return
	}
	for i := range c.Spans {
		if c.Spans[i].Name == name {
			c.Spans[i].Time += d
			return
		}
	}
	if len(c.Spans) < maxSpans {
		c.Spans = append(c.Spans, Span{name, d})
	}
}
