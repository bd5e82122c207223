package far

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A buffer holds bytes of a peer, or for it, and the lease of its capacity. It belongs to one
// goroutine at a time, and is not copied once it is in use. The zero buffer holds nothing.
type buffer struct {
	b     []byte
	lease budget.Lease
}

// size makes the buffer n bytes long. What it held is lost. When it has to grow, it waits
// for room in share; its error is a *wire.Fail, or the cause of ctx.
func (b *buffer) size(ctx context.Context, share *budget.Share, n int) error {
	return b.sizeWithin(ctx, share, n, 0)
}

// sizeWithin is size that waits for d, if that is longer than budget.Patience.
func (b *buffer) sizeWithin(ctx context.Context, share *budget.Share, n int, d time.Duration) (err error) {
	if cap(b.b) >= n {
		b.b = b.b[:n]
		return nil
	}
	b.drop()
	for begin := time.Now(); ; {
		b.lease, err = share.Acquire(ctx, int64(n))
		if err == nil {
			b.b = make([]byte, n)
			return nil
		}
		if !errors.Is(err, budget.ErrLate) || time.Since(begin) >= d {
			return overloaded(err, false)
		}
	}
}

// trySize is size that does not wait.
func (b *buffer) trySize(share *budget.Share, n int) error {
	b.drop()
	lease, err := share.Try(int64(n))
	if err != nil {
		return overloaded(err, false)
	}
	b.lease, b.b = lease, make([]byte, n)
	return nil
}

// read fills the buffer with n bytes from r, which reads from st. It acquires room for them
// first.
func (b *buffer) read(ctx context.Context, share *budget.Share, r io.Reader, st Stream, n int) error {
	if err := b.size(ctx, share, n); err != nil {
		return err
	}
	return wire.ReadPaced(r, st, b.b)
}

// drop lets go of the bytes.
func (b *buffer) drop() {
	n := cap(b.b)
	b.b = nil
	letGo(&b.lease, n)
}

// large is the size from which buffers are not kept for later use: a raw frame of 640x480
// is smaller.
const large = 1 << 20

// letGo ends the lease of a buffer of n bytes that is not used any longer.
func letGo(lease *budget.Lease, n int) {
	if n > large {
		lease.Discard()
	} else {
		lease.Release()
	}
}

// move returns what b holds, and leaves b empty.
func (b *buffer) move() buffer {
	moved := *b
	*b = buffer{}
	return moved
}

// overloaded returns the *wire.Fail of a refusal of the budget, and other errors as they are.
// started says whether the guest function has run.
func overloaded(err error, started bool) error {
	if !errors.Is(err, budget.ErrRefused) {
		return err
	}
	return &wire.Fail{Code: offload.CodeOverloaded, Started: started, Text: err.Error()}
}
