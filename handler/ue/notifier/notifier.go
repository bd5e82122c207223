package notifier

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a [Notifier]. The zero Config is ready to use.
type Config struct {
	// SlowInterval is the time between two readings of the slow sources: all
	// but the processor time of this process. Zero means one second. A reading
	// takes about 0.1 ms of processor time on Linux; sensors on a
	// slow bus can hold it up for longer, but never a Sample.
	SlowInterval time.Duration
	// SysFS is where Linux' /sys is mounted. Empty means /sys. A program in a
	// container sets it to the mount of the device's own /sys.
	SysFS string
}

// minSlow keeps a Config with a wrong unit from using up a core.
const minSlow = 10 * time.Millisecond

// A Notifier makes samples of the device it runs on. It must be closed.
type Notifier struct {
	// Set by New, then constant.
	every time.Duration
	quit  <-chan struct{} // closed by Close
	end   context.CancelFunc

	// Owned by run.
	probe *probe
	wg    sync.WaitGroup

	slow atomic.Pointer[Sample]

	mu   sync.Mutex // leaf lock
	last Sample
}

// New starts a notifier. It reads all sources once before it returns, so that
// the first sample is as complete as the device allows. A missing source is no
// error. A nil cfg means the zero Config.
func New(cfg *Config) (*Notifier, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	every := cfg.SlowInterval
	if every == 0 {
		every = time.Second
	}
	if every < minSlow {
		return nil, fmt.Errorf("notifier: SlowInterval is %v; use %v or more, or 0 for one second", every, minSlow)
	}
	ctx, end := context.WithCancel(context.Background())
	n := &Notifier{every: every, quit: ctx.Done(), end: end, probe: newProbe(ctx, cfg.SysFS)}
	n.slow.Store(n.probe.read(ctx))
	n.wg.Go(func() { n.run(ctx) })
	return n, nil
}

// run reads the slow sources until ctx ends.
func (n *Notifier) run(ctx context.Context) {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.slow.Store(n.probe.read(ctx))
		}
	}
}

// Close ends the notifier's goroutine and every Watch, and returns when the
// goroutine has ended. Sample still works afterwards, with the last reading of the slow
// sources. Close is idempotent.
func (n *Notifier) Close() {
	n.end()
	n.wg.Wait()
}

// Sample returns the state of the device. It does not block on any source.
func (n *Notifier) Sample() Sample {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = n.since(n.last)
	return n.last
}

// since returns a sample whose ProcessCPU counts from the earlier one.
func (n *Notifier) since(earlier Sample) Sample {
	s := *n.slow.Load()
	used, ok := processTime()
	s.At = time.Now()
	if ok {
		s.Known |= ProcessCPU
		s.ProcessCPUTime = used
		s.ProcessCPU = s.CoresSince(earlier)
	}
	return s
}

// Watch yields a sample at once and then each interval, until ctx ends, the
// notifier is closed or the loop is left. ProcessCPU counts from the sample
// that the same loop had before. A loop body that takes longer than the
// interval misses samples. An interval of 0 or less means one second.
func (n *Notifier) Watch(ctx context.Context, interval time.Duration) iter.Seq[Sample] {
	if interval <= 0 {
		interval = time.Second
	}
	return func(yield func(Sample) bool) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		var s Sample
		for ctx.Err() == nil {
			if s = n.since(s); !yield(s) {
				return
			}
			// A tick, the caller's end, the notifier's end.
			select {
			case <-tick.C:
			case <-ctx.Done():
			case <-n.quit:
				return
			}
		}
	}
}
