package offload

import (
	"context"
	"time"
)

// A Trace tells where a call ran and where its time went.
type Trace struct {
	// Host is the edge host that ran the call. Empty: it ran natively.
	Host string
	// Fallback is why a call ran natively though it was meant for an edge host.
	// Nil for a call that ran where it was meant to.
	Fallback error
	// Why is why the policy had the call run where it was sent: "the edge host is ready". Empty without a UE offload handler.
	Why string
	// Hedged says that the call was begun on the UE, too, as the edge host had not answered. The first result counts: Host
	// says whose that is.
	Hedged bool
	// Wasted is what the other run of a hedged call was good for nothing: the time of the native run until the edge host had
	// answered, or how long the edge host was waited for in vain.
	Wasted time.Duration

	Encode  time.Duration // the request's codec
	Network time.Duration // from the request's first byte out to the reply's last byte in, less Queue and Run
	Queue   time.Duration // waiting on the host for an instance
	Run     time.Duration // the function itself, natively or on the host
	Decode  time.Duration // the reply's codec
	Spans   []Span        // parts of Run that host functions reported

	BytesUp, BytesDown int // of the call's frames; 0 for a native call
}

// A Span is a named part of a call's Run.
type Span struct {
	Name string
	Time time.Duration
}

// Span returns the time of the span called name, 0 if there is no such span.
func (t *Trace) Span(name string) time.Duration {
	for _, s := range t.Spans {
		if s.Name == name {
			return s.Time
		}
	}
	return 0
}

type traceKey struct{}

// WithTrace returns a context whose elastic calls write their trace to t.
// It is for one call at a time: t is written when the call returns. After a call that an
// edge host did not answer it has Host, Encode and, as the time that was waited, Network.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace that WithTrace has put into ctx, nil for none.
func TraceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}
