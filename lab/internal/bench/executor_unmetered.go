package bench

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// unmetered measures what [executor.Guest] does around a call that is not metered: it
// looks at the context, copies the request, checks all that the guest answers, and
// counts.
func unmetered() (time.Duration, error) {
	link, err := executor.NewLinkage(executor.InstanceConfig{}, executor.Need{})
	if err != nil {
		return 0, err
	}
	g, err := executor.NewGuest(context.Background(), &hollow{}, link)
	if err != nil {
		return 0, err
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	var c caller
	err = c.run(100_000, func() error { return emptyCall(ctx, g) })
	return time.Duration(quantile(c.micros, 0.5) * 1e3), err
}

// hollow is an [executor.Raw] in which no guest runs.
type hollow struct{ memory [16]byte }

func (*hollow) Begin(context.Context, uint64)      {}
func (*hollow) End() executor.Usage                { return executor.Usage{} }
func (*hollow) Start() error                       { return nil }
func (*hollow) ABI() (uint32, error)               { return abi.Version, nil }
func (*hollow) Buf(uint32) (uint32, error)         { return 8, nil }
func (*hollow) Size() uint64                       { return 16 }
func (*hollow) Close() error                       { return nil }
func (n *hollow) Bytes(p, k uint32) ([]byte, bool) { return n.memory[p : p+k], true }

// Invoke answers with an empty result.
func (*hollow) Invoke(_, _, _ uint32, _ int64) (uint64, error) { return 1, nil }
