package ue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// The delays of RFC 8305 ("Happy Eyeballs"), sections 5 and 3.
const (
	// attemptDelay is how long one address is tried before the next one is, too.
	attemptDelay = 250 * time.Millisecond
	// resolutionDelay is how long the IPv4 addresses of a name wait for its IPv6 ones.
	resolutionDelay = 50 * time.Millisecond
)

// maxAddresses bounds how many addresses of a host are tried: a resolver may answer
// anything.
const maxAddresses = 16

// A found is an answer to the question where a host is.
type found struct {
	addrs []netip.AddrPort
	wait  bool // better ones may come soon
	err   error
}

// An answered error is that of a host which has proved who it is. It ends a race: another
// way or address leads to the same host.
type answered struct{ error }

func (a *answered) Unwrap() error { return a.error }

// race tries the addresses of a host, one after another and the earlier ones meanwhile, and
// returns what the first attempt gave that succeeded. The others are ended, and what they
// still give is dropped. first is tried at once, unless it is invalid. search begins the
// search for addresses; it closes its channel after the last answer, or when its context has
// ended.
func race[T any](ctx context.Context, first netip.AddrPort, search func(context.Context) <-chan found, try func(context.Context, netip.AddrPort) (T, error), drop func(T)) (won T, at netip.AddrPort, err error) {
	ctx, cancel := context.WithCancel(ctx)
	r := racer[T]{try: try, results: make(chan result[T], maxAddresses)}
	answers := search(ctx)
	open := answers
	defer func() {
		cancel()
		for ; r.running > 0; r.running-- {
			if late := <-r.results; late.err == nil {
				drop(late.value)
			}
		}
		for range open { // the search ends
		}
	}()
	if first.IsValid() {
		r.begin(ctx, first)
	}
	for {
		if answers == nil && r.running == 0 && len(r.queue) == 0 {
			return won, at, r.why()
		}
		// Addresses are known; it is time for the next attempt; one has ended; the caller has.
		select {
		case f, ok := <-answers:
			if !ok {
				answers, f = nil, found{}
			}
			r.add(f)
		case <-r.next():
			at := r.queue[0]
			r.queue = r.queue[1:]
			r.begin(ctx, at)
		case res := <-r.results:
			r.running--
			if res.err == nil {
				return res.value, res.at, nil
			}
			r.failed = append(r.failed, failure{res.at, res.err})
			if a := (*answered)(nil); errors.As(res.err, &a) {
				return won, at, r.why()
			}
			r.ready = time.Now() // RFC 8305 section 5: a failed attempt is not waited for
		case <-ctx.Done():
			return won, at, r.late(context.Cause(ctx))
		}
	}
}

// A racer is the state of a race. It belongs to the goroutine that races.
type racer[T any] struct {
	try     func(context.Context, netip.AddrPort) (T, error)
	results chan result[T]
	running int

	tried  []netip.AddrPort
	queue  []netip.AddrPort // not tried yet
	ready  time.Time        // when the next one may be tried
	failed []failure
	unable []error // why addresses are not known
}

type result[T any] struct {
	at    netip.AddrPort
	value T
	err   error
}

// A failure is why an address did not work.
type failure struct {
	at  netip.AddrPort
	err error
}

// add takes more addresses.
func (r *racer[T]) add(f found) {
	if f.err != nil {
		r.unable = append(r.unable, f.err)
	}
	if len(r.tried) == 0 {
		r.ready = time.Now()
		if f.wait {
			r.ready = r.ready.Add(resolutionDelay)
		}
	}
	r.queue = order(r.tried, append(r.queue, f.addrs...))
}

// next fires when the next address may be tried. It never does when there is none.
func (r *racer[T]) next() <-chan time.Time {
	if len(r.queue) == 0 {
		return nil
	}
	return time.After(time.Until(r.ready))
}

func (r *racer[T]) begin(ctx context.Context, at netip.AddrPort) {
	r.tried = append(r.tried, at)
	r.ready = time.Now().Add(attemptDelay)
	r.running++
	go func() { // race waits for its result
		v, err := r.try(ctx, at)
		r.results <- result[T]{at, v, err}
	}()
}

// order returns the addresses of queue that were not tried, each once, in the order in which
// to try them: families alternate, and IPv6 begins (RFC 8305 section 4). Within a family the
// order stays: the resolver has sorted them (RFC 6724).
func order(tried, queue []netip.AddrPort) []netip.AddrPort {
	var families [2][]netip.AddrPort // IPv6, IPv4
	for _, a := range queue {
		f := &families[family(a)]
		if !slices.Contains(tried, a) && !slices.Contains(*f, a) {
			*f = append(*f, a)
		}
	}
	turn := 0
	if len(tried) > 0 {
		turn = 1 - family(tried[len(tried)-1])
	}
	var all []netip.AddrPort
	for len(families[0])+len(families[1]) > 0 && len(all)+len(tried) < maxAddresses {
		if f := &families[turn]; len(*f) > 0 {
			all, *f = append(all, (*f)[0]), (*f)[1:]
		}
		turn = 1 - turn
	}
	return all
}

// family returns 0 for IPv6 and 1 for IPv4.
func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return 1
	}
	return 0
}

// why returns why no address worked. If there were addresses, it says nothing of names.
func (r *racer[T]) why() error {
	switch {
	case len(r.failed) == 1 && len(r.tried) == 1:
		return r.failed[0].err
	case len(r.failed) > 0:
		return failures(r.failed)
	}
	for _, err := range r.unable {
		if !errors.Is(err, errUnknownName) {
			return err
		}
	}
	return errUnknownName
}

// late returns why no address has worked by now, when cause ends the race.
func (r *racer[T]) late(cause error) error {
	switch {
	case len(r.failed) > 0:
		return fmt.Errorf("%w (%w)", r.why(), cause)
	case len(r.tried) == 0 && !errors.Is(cause, context.Canceled):
		return fmt.Errorf("%w (%w)", errNoResolver, cause)
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("%w (%w)", link.ErrNoAnswer, cause)
	}
	return cause
}
