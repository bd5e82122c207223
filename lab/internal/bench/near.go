package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

type channel = elastic.Channel[marked.Query, marked.Answer]

// A near is the near endpoint of a benchmark's channel. One goroutine sends and
// one receives.
type near struct {
	ch    *channel
	query marked.Query // the last one sent
	check checker
}

// newNear opens a channel whose messages carry in bytes and are answered with out.
func newNear(conf elastic.Config, in, out int) (*near, error) {
	ch, err := marked.OpenLedger(conf)
	if err != nil {
		return nil, err
	}
	body := make([]byte, in)
	return &near{
		ch: ch, query: marked.Query{Want: out, Body: body},
		check: checker{ordered: conf.Mode == elastic.Ordered, sum: crc32.ChecksumIEEE(body)},
	}, nil
}

// send sends the next message, which was due at due.
func (n *near) send(ctx context.Context, due time.Time) error {
	n.query.Seq++
	if err := n.ch.SendMessage(ctx, elastic.Message[marked.Query]{Value: n.query, Captured: due}); err != nil {
		return fmt.Errorf("send message %d: %w", n.query.Seq, err)
	}
	return nil
}

// receive checks the next result.
func (n *near) receive(ctx context.Context) (elastic.Result[marked.Answer], error) {
	r, err := n.ch.Recv(ctx)
	if err != nil {
		return r, fmt.Errorf("receive after result %d: %w", n.check.last, err)
	}
	n.check.see(r)
	return r, nil
}

// run runs b over the channel, as the yardstick runs it over its transports.
func (n *near) run(ctx context.Context, b batch) (measured, error) {
	exchange := n.exchange
	if b.InFlight > 1 {
		exchange = n.overlap
	}
	m, err := metered(ctx, b, exchange)
	return m, errors.Join(err, n.check.err())
}

// metered measures what exchange does with b, after one request that is not counted.
func metered(ctx context.Context, b batch, exchange func(context.Context, batch, *measured) error) (measured, error) {
	one := b
	one.Requests = 1
	if err := exchange(ctx, one, new(measured)); err != nil {
		return measured{}, err
	}
	m := measured{Micros: make([]float64, 0, b.Requests)}
	begin, allocs := time.Now(), mallocs()
	err := exchange(ctx, b, &m)
	m.PerSecond = float64(b.Requests) / time.Since(begin).Seconds()
	m.Allocs = float64(mallocs()-allocs) / float64(b.Requests)
	return m, err
}

func (n *near) drop(ctx context.Context) error {
	_, err := n.receive(ctx)
	return err
}

// exchange sends a message when the one before has been answered.
func (n *near) exchange(ctx context.Context, b batch, m *measured) error {
	p := newPacer(b.Rate)
	for range b.Requests {
		if err := n.send(ctx, p.next()); err != nil {
			return err
		}
		if err := n.collect(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// overlap keeps b.InFlight messages under way.
func (n *near) overlap(ctx context.Context, b batch, m *measured) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, b.InFlight)
	sent := make(chan error, 1)
	go func() { // ends with the messages, or with ctx
		err := n.fill(ctx, b, slots)
		if err != nil {
			cancel(err)
		}
		sent <- err
	}()
	for range b.Requests {
		if err := n.collect(ctx, m); err != nil {
			cancel(err)
			return errors.Join(err, <-sent)
		}
		<-slots
	}
	return <-sent
}

// fill sends b's messages, each when a slot is free.
func (n *near) fill(ctx context.Context, b batch, slots chan<- struct{}) error {
	p := newPacer(b.Rate)
	for range b.Requests {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := n.send(ctx, p.next()); err != nil {
			return err
		}
	}
	return nil
}

// collect takes note of how long the next result took.
func (n *near) collect(ctx context.Context, m *measured) error {
	r, err := n.receive(ctx)
	m.took(time.Since(r.Captured))
	return err
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// A pacer says when messages are due, as the yardstick's does.
type pacer struct {
	period time.Duration // 0: at once
	due    time.Time
}

func newPacer(rate float64) pacer {
	p := pacer{due: time.Now()}
	if rate > 0 {
		p.period = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// next waits until a message is due and returns when it was: a message that had
// to wait for another one was due before that.
func (p *pacer) next() time.Time {
	now := time.Now()
	if p.period == 0 {
		return now
	}
	at := p.due
	p.due = p.due.Add(p.period)
	if wait := at.Sub(now); wait > 0 {
		time.Sleep(wait)
		return time.Now()
	}
	return at
}

// A checker proves of the results of a channel that each came once, in its turn,
// and from a far endpoint whose state has seen each message once, in its turn.
type checker struct {
	ordered bool   // in mode Latest the state has not seen each message
	sum     uint32 // of the messages' bodies
	last    uint64 // result
	chain   uint64 // of a reference that handles the messages one by one

	lost, doubled, wrong int
	failed               int   // messages whose outcome is an error: the state has not seen them
	why                  error // of the first of them
}

// see takes a result.
func (c *checker) see(r elastic.Result[marked.Answer]) {
	due := c.last + 1 + r.Skipped
	if r.Seq < due {
		c.doubled++
		return
	}
	c.lost += int(r.Seq - due)
	for ; c.last < r.Seq-1; c.last++ {
		c.chain = marked.Step(c.chain, c.last+1, c.sum)
	}
	c.last = r.Seq
	if r.Err != nil {
		c.failed++
		c.why = cmp.Or(c.why, r.Err)
		return
	}
	c.chain = marked.Step(c.chain, r.Seq, c.sum)
	if a := r.Value; c.ordered && (a.Count != r.Seq-uint64(c.failed) || a.Chain != c.chain) {
		c.wrong++
		c.chain = a.Chain // one fault counts once
	}
}

// err says what was wrong.
func (c *checker) err() error {
	if c.lost+c.doubled+c.wrong+c.failed == 0 {
		return nil
	}
	err := fmt.Errorf("of %d messages %d were lost, %d doubled, %d came with a wrong state, and %d failed", c.last, c.lost, c.doubled, c.wrong, c.failed)
	if c.why != nil {
		err = fmt.Errorf("%w: %w", err, c.why)
	}
	return err
}
