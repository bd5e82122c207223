package bench

import (
	"context"
	"errors"
	"time"
)

// unmetered measures a call of a function that does nothing, on an instance that is not
// metered: what the host does around any call, and the way into the guest and back.
func (b *bout) unmetered(ctx context.Context) (p50 time.Duration, err error) {
	l, err := b.load(ctx, smallGuest, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	in, err := l.instance(ctx)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	var c caller
	err = c.run(100_000, func() error { return emptyCall(ctx, in) })
	return time.Duration(quantile(c.micros, 0.5) * 1e3), err
}
