package notifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a [Notifier]. The zero Config is ready to use.
type Config struct {
	// Interval is the time between two samples. Zero means 250 ms.
	Interval time.Duration
	// Sources are read for each sample, in their order. Nil means one [System]. The notifier owns them: no two may share one.
	Sources []Source
}

const (
	// usual is the interval of the zero Config.
	usual = 250 * time.Millisecond
	// least keeps a Config with a wrong unit from using up a core.
	least = 10 * time.Millisecond
)

// A Notifier makes samples of the device it runs on. It must be closed.
type Notifier struct {
	// Set by New, then constant.
	every   time.Duration
	sources []Source
	slept   func() time.Duration // how long the device has slept since it started
	quit    <-chan struct{}      // closed by Close
	end     context.CancelFunc

	// Owned by run.
	sensors  *sensors
	told     [numMetrics]string // the source of each metric that was known before
	sleeping time.Duration      // slept, at the last sample
	wg       sync.WaitGroup     // run, and the subscriptions

	now atomic.Pointer[moment]

	mu      sync.Mutex // leaf lock
	closing bool       // no new subscriptions

	felt   felt
	done   sync.Once
	closed error // of the sources; set by done
}

// A moment is the newest sample.
type moment struct {
	sample *Sample
	over   chan struct{} // closed when there is a newer one
}

// New starts a notifier. It makes the first sample before it returns. That a device does not tell something is no error.
// A nil cfg means the zero Config.
func New(cfg *Config) (*Notifier, error) { return start(cfg, slept) }

func start(cfg *Config, slept func() time.Duration) (*Notifier, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	every := cfg.Interval
	if every == 0 {
		every = usual
	}
	if every < least {
		return nil, fmt.Errorf("notifier: Interval is %v; use %v or more, or 0 for %v", every, least, usual)
	}
	sources := append([]Source(nil), cfg.Sources...)
	if cfg.Sources == nil {
		sources = []Source{NewSystem(nil)}
	}
	for i, s := range sources {
		if s == nil {
			return nil, fmt.Errorf("notifier: source %d is nil", i)
		}
	}
	ctx, end := context.WithCancel(context.Background())
	n := &Notifier{every: every, slept: slept, quit: ctx.Done(), end: end, sensors: newSensors()}
	n.sources = append(sources, &n.felt)
	n.now.Store(&moment{sample: n.sample(time.Now(), nil), over: make(chan struct{})})
	n.wg.Go(func() { n.run(ctx) })
	return n, nil
}

// run makes samples until ctx ends.
func (n *Notifier) run(ctx context.Context) {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			last := n.now.Load()
			n.now.Store(&moment{sample: n.sample(time.Now(), last.sample), over: make(chan struct{})})
			close(last.over)
		}
	}
}

// sample reads all sources at now. last is nil at first.
func (n *Notifier) sample(now time.Time, last *Sample) *Sample {
	s := &Sample{At: now}
	r := &Round{Now: s.At, out: s, sensors: n.sensors}
	sleeping := n.slept()
	if last != nil {
		r.Since = s.At.Sub(last.At)
	}
	if s.Gap = last == nil || n.gap(r.Since, sleeping-n.sleeping); s.Gap {
		r.Since = 0
		n.sensors.forget()
	}
	n.sleeping = sleeping
	for _, source := range n.sources {
		source.Read(r)
		n.sensors.settle(r)
	}
	if load := loadOf(s); !math.IsNaN(load) {
		n.sensors.load.add(load, r.Since)
	}
	for m, reading := range s.All() {
		switch {
		case reading.Known():
			n.told[m] = reading.Source
		case reading.Why == "" && n.told[m] != "":
			s.readings[m].Why = n.told[m] + " is gone"
		case reading.Why == "":
			s.readings[m].Why = "no source tells it"
		}
	}
	return s
}

// gap says whether so much time lies between two samples that averages over it say nothing of the device's load: it slept
// for some of it, or the process was stopped, or the clock ran back.
func (n *Notifier) gap(since, slept time.Duration) bool {
	return since <= 0 || since > 4*n.every+2*time.Second || slept > time.Second
}

// loadOf returns the share of the device's cores that is busy. NaN: not known.
func loadOf(s *Sample) float64 {
	if v, ok := s.Value(SystemCPU); ok {
		return v
	}
	used, known := s.Value(ProcessCPU)
	cores, sized := s.Value(Cores)
	if known && sized {
		return min(1, used/cores)
	}
	return math.NaN()
}

// Close ends the notifier's goroutine, its subscriptions and every Watch, waits for the goroutine and for functions of
// subscriptions that run, and closes the sources. It must not be called by such a function. Sample still returns the last sample
// afterwards. Close is idempotent; its error is that of the sources.
func (n *Notifier) Close() error {
	n.mu.Lock()
	n.closing = true
	n.mu.Unlock()
	n.end()
	n.wg.Wait()
	n.done.Do(func() {
		for _, s := range n.sources {
			if c, ok := s.(io.Closer); ok {
				n.closed = errors.Join(n.closed, c.Close())
			}
		}
	})
	return n.closed
}

// Sample returns the newest sample: it costs a few nanoseconds, reads no source and allocates nothing. It is as old as
// [Config.Interval], or older while a source is slow.
func (n *Notifier) Sample() *Sample { return n.now.Load().sample }

// Watch yields the newest sample at once and then each new one, until ctx ends, the notifier is closed or the loop is left.
// A loop body that takes longer than the interval misses samples.
func (n *Notifier) Watch(ctx context.Context) iter.Seq[*Sample] {
	return func(yield func(*Sample) bool) {
		for {
			now := n.now.Load()
			if ctx.Err() != nil || !yield(now.sample) {
				return
			}
			// A new sample, the caller's end, the notifier's end.
			select {
			case <-now.over:
			case <-ctx.Done():
				return
			case <-n.quit:
				return
			}
		}
	}
}
