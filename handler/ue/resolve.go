package ue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/bungee-xr/bungee/offload"
)

// Why the addresses of a host are not known.
var (
	errUnknownName = &reason{offload.CodeUnavailable, "the edge host's name is not known"}
	errNoResolver  = &reason{offload.CodeUnavailable, "no resolver answers for the edge host's name"}
)

// A lookup returns the addresses of a name: those of network "ip6" or "ip4".
type lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)

// search sends where the host at all is, and closes the channel after the last answer. It ends
// with ctx.
func search(ctx context.Context, all []hostPort, look lookup) <-chan found {
	answers := make(chan found, 1+2*len(all)) // all of them: no send waits
	var given found
	var asking sync.WaitGroup
	for _, h := range all {
		if h.name == "" {
			given.addrs = append(given.addrs, netip.AddrPortFrom(h.ip.Unmap(), h.port))
			continue
		}
		asking.Go(func() { resolve(ctx, h, look, answers) })
	}
	if given.addrs != nil {
		answers <- given
	}
	go func() { // ends with the lookups, which end with ctx
		asking.Wait()
		close(answers)
	}()
	return answers
}

// resolve sends the addresses of h, of each family once they are known.
func resolve(ctx context.Context, h hostPort, look lookup, answers chan<- found) {
	six := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		defer close(six)
		answers <- lookUp(ctx, h, "ip6", look)
	})
	both.Go(func() {
		f := lookUp(ctx, h, "ip4", look)
		select {
		case <-six:
		default:
			f.wait = true
		}
		answers <- f
	})
	both.Wait()
}

func lookUp(ctx context.Context, h hostPort, network string, look lookup) (f found) {
	ips, err := look(ctx, network, h.name)
	if err != nil {
		return found{err: explainLookup(h.name, err)}
	}
	for _, ip := range ips {
		f.addrs = append(f.addrs, netip.AddrPortFrom(ip.Unmap(), h.port))
	}
	return f
}

// explainLookup returns err with its cause.
func explainLookup(name string, err error) error {
	var d *net.DNSError
	if errors.As(err, &d) && d.IsNotFound {
		return errUnknownName
	}
	if errors.As(err, &d) {
		return fmt.Errorf("%w (%s)", errNoResolver, d.Err)
	}
	return fmt.Errorf("%w (%w)", errNoResolver, err)
}

// failures are why the addresses of a host did not work.
type failures []failure

// Error names each cause once, and the addresses that it is of.
func (fs failures) Error() string {
	var texts []string
	of := map[string][]string{}
	for _, f := range fs {
		text := f.err.Error()
		if of[text] == nil {
			texts = append(texts, text)
		}
		of[text] = append(of[text], f.at.String())
	}
	for i, text := range texts {
		texts[i] = strings.Join(of[text], " and ") + ": " + text
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the causes.
func (fs failures) Unwrap() []error {
	var all []error
	for _, f := range fs {
		all = append(all, f.err)
	}
	return all
}
