package executor

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/internal/abi"
)

// A Raw is what an Engine can do with an instance of its own. [Guest] makes an
// Instance of it. The errors of its methods are of this package's kinds.
type Raw interface {
	// ABI calls bungee_abi.
	ABI(ctx context.Context) (uint32, error)
	// Buf calls bungee_buf.
	Buf(ctx context.Context, n uint32) (ptr uint32, err error)
	// Invoke calls bungee_call.
	Invoke(ctx context.Context, fn, ptr, n uint32, deadline int64) (reply uint64, err error)
	// Bytes reads the memory between calls.
	Memory
	// Close frees the instance.
	Close() error
}

// A Guest is an [Instance] over what an Engine gives: it speaks the guest ABI
// and checks all that the guest answers.
type Guest struct {
	raw    Raw
	broken bool
}

// NewGuest returns an Instance over raw, which it owns. It fails, and closes
// raw, when the guest is of another ABI version.
func NewGuest(ctx context.Context, raw Raw) (Instance, error) {
	v, err := raw.ABI(ctx)
	if err == nil && v != abi.Version {
		err = fmt.Errorf("%w: the guest has ABI version %d, this host %d; build the module again", ErrABI, v, abi.Version)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return &Guest{raw: raw}, nil
}

// Close frees the instance.
func (g *Guest) Close() error {
	g.broken = true
	return g.raw.Close()
}

// Call implements [Instance].
func (g *Guest) Call(ctx context.Context, fn uint32, request []byte) (Reply, error) {
	if err := g.admit(ctx, request); err != nil {
		return Reply{}, err
	}
	// Until the guest is known to have come back sound, it is not.
	g.broken = true
	ptr, refused, err := g.give(ctx, request)
	if err != nil {
		g.broken = !refused
		return Reply{}, err
	}
	v, err := g.raw.Invoke(ctx, fn, ptr, uint32(len(request)), guestDeadline(ctx))
	if err != nil {
		return Reply{}, err
	}
	reply, err := g.reply(v)
	g.broken = err != nil || reply.Status == abi.Panic
	return reply, err
}

// admit says why a call cannot begin.
func (g *Guest) admit(ctx context.Context, request []byte) error {
	switch {
	case g.broken:
		return ErrDiscarded
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	case len(request) > abi.MaxRequest:
		return fmt.Errorf("%w: the request has %d bytes; at most %d can cross", ErrNotStarted, len(request), abi.MaxRequest)
	}
	return nil
}

// give copies request into a buffer of the guest. refused says that the guest
// had none, which does it no harm.
func (g *Guest) give(ctx context.Context, request []byte) (ptr uint32, refused bool, err error) {
	n := uint32(len(request))
	if ptr, err = g.raw.Buf(ctx, n); err != nil {
		return 0, false, err
	}
	if ptr == 0 && n > 0 {
		return 0, true, fmt.Errorf("%w: the guest has no buffer for %d bytes", ErrNotStarted, n)
	}
	b, ok := g.raw.Bytes(ptr, n)
	if !ok {
		return 0, false, fmt.Errorf("%w: its buffer of %d bytes at %#x is outside its memory", ErrABI, n, ptr)
	}
	copy(b, request)
	return ptr, false, nil
}

// reply reads what bungee_call returned.
func (g *Guest) reply(v uint64) (Reply, error) {
	ptr, n := abi.SplitReply(v)
	if n > abi.MaxReply+1 {
		return Reply{}, fmt.Errorf("%w: its reply has %d bytes; at most %d can cross", ErrABI, n, abi.MaxReply+1)
	}
	b, ok := g.raw.Bytes(ptr, n)
	if !ok {
		return Reply{}, fmt.Errorf("%w: its reply of %d bytes at %#x is outside its memory", ErrABI, n, ptr)
	}
	r, err := abi.ParseReply(b)
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrABI, err)
	}
	return r, nil
}

// maxMessage bounds what an engine says of a trap: a backtrace may be long.
const maxMessage = 2 << 10

// Trap returns the error of a guest that stopped with the engine's message.
// hostErr is the error of the host function that stopped it, nil when none did;
// atDeadline says that the engine stopped it.
func Trap(message string, hostErr error, atDeadline bool) error {
	kind := ErrTrap
	if atDeadline {
		kind = ErrDeadline
	}
	if hostErr != nil {
		return fmt.Errorf("%w: %w", kind, hostErr)
	}
	return fmt.Errorf("%w: %q", kind, clip(message, maxMessage))
}

// clip shortens s to at most n bytes. Its users quote what it returns.
func clip(s string, n int) string { return s[:min(len(s), n)] }

// Inside says whether the n bytes at ptr lie in a memory of size bytes.
func Inside(ptr, n uint32, size uint64) bool { return uint64(ptr)+uint64(n) <= size }
