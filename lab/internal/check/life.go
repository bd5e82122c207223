package check

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A life is a channel from Open to Close, and those who use it: a goroutine that
// sends, one that receives, one that moves and one that follows a manager.
type life struct {
	w        *stage
	settings Settings
	ch       *elastic.Channel[message, out]
	journal  *journal
	oracle   oracle

	ctx      context.Context // of receiving: ends when what is still to come does not matter
	stop     context.CancelFunc
	sends    chan Step
	moves    chan Step
	quit     chan struct{} // closed: senders and movers take no more steps
	follower follower
	wg       sync.WaitGroup
	rx       chan struct{} // closed when the receiver has ended

	seq     uint64 // of the last message; the sender's
	sending atomic.Int64
	paused  atomic.Int64 // until when nobody receives, in ns
	largest atomic.Int64 // message, in bytes on the wire
	ended   atomic.Bool  // with ErrLost, as documented
	leeway  leeway
	racing  atomic.Bool // the channel ends while others use it

	judge    *judge
	sent     atomic.Int64 // messages
	broken   atomic.Int64 // messages that break their far endpoint
	overruns atomic.Int64
	attempts atomic.Int64 // moves
	fell     atomic.Int64 // events that a far endpoint was brought back
}

// openLife opens a channel whose far endpoint begins on the UE.
func (st *stage) openLife(s Settings) *life {
	st.lives++
	journal := newJournal(s.Once, st.fail)
	if st.apart {
		journal.states = nil
	}
	g := &ground{host: UE, journal: journal, desc: descOf(uint32(3*st.lives), s), slow: func() time.Duration { return 0 }, harsh: st.adversary, pad: s.Pad}
	if st.register != nil {
		st.register(g.desc.Index, s, journal)
	}
	l := &life{
		w: st, settings: s, journal: journal, oracle: newOracle(s.Latest, st.fail),
		sends: make(chan Step, st.queue), moves: make(chan Step, st.queue),
		quit: make(chan struct{}), rx: make(chan struct{}), follower: follower{wake: make(chan struct{}, 1)},
	}
	l.judge = &judge{l: l, opened: time.Now(), changed: time.Now()}
	var err error
	if l.ch, err = elastic.Open(g.endpoint(), st.config(s)); err != nil {
		st.fail("open: %v", err)
		return nil
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	go l.receive()
	events := l.ch.Events(l.ctx) // from its begin on
	go func() { defer st.caught(); l.listen(events) }()
	l.wg.Go(func() { defer st.caught(); l.steps(l.sends, l.send) })
	l.wg.Go(func() { defer st.caught(); l.steps(l.moves, l.mover) })
	l.wg.Go(func() { defer st.caught(); l.follow() })
	return l
}

// config returns the channel's configuration.
func (st *stage) config(s Settings) elastic.Config {
	cfg := elastic.Config{
		Window: s.Window, WindowBytes: s.Bytes, InFlight: s.InFlight, Deadline: s.Deadline,
		CheckpointMessages: s.Checkpoint, CheckpointInterval: s.Interval,
	}
	if s.Latest {
		cfg.Mode = elastic.Latest
	}
	for _, h := range s.Standby {
		cfg.Standby = append(cfg.Standby, st.targets[h])
	}
	return cfg
}

// steps does the steps of a queue one after the other.
func (l *life) steps(queue chan Step, do func(Step)) {
	for {
		select {
		case s := <-queue:
			do(s)
		case <-l.quit:
			return
		}
	}
}

func (l *life) over() bool {
	select {
	case <-l.quit:
		return true
	default:
		return l.ended.Load() || l.w.failed()
	}
}

func (l *life) send(s Step) {
	for i := 0; i < s.N && !l.over(); i++ {
		if !l.sendOne(s) {
			return
		}
		if s.Every > 0 {
			time.Sleep(s.Every)
		}
	}
	l.sending.Add(-1)
}

// listen judges what the channel tells of itself: no edge host here breaks the
// protocol, so none may be said to. It ends with the channel.
func (l *life) listen(events iter.Seq[elastic.Event]) {
	for e := range events {
		l.w.sabotage.event(e, l.judge.event)
		var refusal *wire.Fail
		switch {
		case e.Kind == elastic.StandbyReady && !l.mayStand(hostOf(e.To)):
			l.w.fail("%s stands by unbidden", e.To)
		case e.Reason == nil:
		case strings.Contains(e.Reason.Error(), "is not kept"): // a message that a replay needs: no sentinel says so
			l.w.fail("the channel has lost count of its messages: %s, from %s to %s: %v", e.Kind, e.From, e.To, e.Reason)
		case errors.Is(e.Reason, elastic.ErrPeer), errors.Is(e.Reason, wire.ErrFrame),
			errors.As(e.Reason, &refusal) && refusal.Code == offload.CodeProtocol:
			l.w.fail("an honest host is said to break the protocol: %s, from %s to %s: %v", e.Kind, e.From, e.To, e.Reason)
		case e.Kind == elastic.FellBack && errors.Is(e.Reason, offload.ErrDeadline):
			l.w.count.Hedged.Add(1)
		}
	}
}

// sendOne sends the next message, in as many attempts as it takes.
func (l *life) sendOne(s Step) bool {
	m := makeMessage(l.w.seed, l.seq+1, s, l.settings)
	l.poisons(m)
	l.largest.Store(max(l.largest.Load(), int64(len(m.body)+32)))
	for l.seq++; !l.over(); {
		l.oracle.add(m)
		err := l.try(m, s.Patience)
		if err == nil {
			l.w.count.Messages.Add(1)
			l.sent.Add(1)
			l.bounds()
			return true
		}
		l.oracle.drop(m)
		switch {
		case s.Patience > 0 && errors.Is(err, context.DeadlineExceeded):
			l.w.count.Refused.Add(1)
			time.Sleep(time.Millisecond)
		case errors.Is(err, elastic.ErrClosed) && l.closable():
			return false
		case errors.Is(err, context.DeadlineExceeded):
			l.w.hangs("send hangs for over %v: message %d, %+v", l.w.patience(), m.seq, l.ch.Stats())
			return false
		default:
			l.end("send message %d: %v", m.seq, err)
			return false
		}
	}
	return false
}

// poisons counts m, if it is poison.
func (l *life) poisons(m message) {
	switch {
	case m.poison.breaks():
		l.broken.Add(1)
		l.w.count.Poison.Add(1)
	case m.poison.overruns():
		l.overruns.Add(1)
		l.w.lags.Add(int64(m.takes + 3*l.settings.Deadline))
		l.w.count.Overruns.Add(1)
	}
}

// closable says whether the channel may be closed while others use it.
func (l *life) closable() bool { return l.racing.Load() || l.over() }

var errPanic = errors.New("a panic left Send")

func (l *life) try(m message, wait time.Duration) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.w.fail("panic left Send: %v\n%s", p, debug.Stack())
			err = errPanic
		}
	}()
	limit := l.w.patience()
	if wait > 0 {
		limit = wait
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l.w.sabotage.send()
	return l.ch.SendMessage(ctx, elastic.Message[message]{Value: m, Tag: tagOf(m.seq)})
}

// end judges an error that a channel ended with: only ErrLost of an endpoint that
// is not idempotent, after harm was done, is as documented.
func (l *life) end(format string, args ...any) {
	err, _ := args[len(args)-1].(error)
	if l.settings.Once && errors.Is(err, elastic.ErrLost) && (l.ended.Load() || l.mayLose()) {
		if !l.ended.Swap(true) {
			l.w.count.Lost.Add(1)
		}
		return
	}
	l.w.fail(format, args...)
}

// mayLose says whether the script explains that the channel ends with ErrLost.
func (l *life) mayLose() bool {
	if !l.w.adversary {
		return l.w.harmed()
	}
	return l.w.blame.someLost() || l.broken.Load() > 0 || l.settings.Deadline > 0
}

// bounds checks what the channel keeps. A move home waits for what is under way
// and so lets all of it come: that adds the results of as many messages.
func (l *life) bounds() {
	const kept, results = 4, 4 // messages kept for each of Window; results of a message, at most
	var s elastic.Stats
	most := l.settings.withDefaults()
	loose := l.leeway.look(most.Window, func() int { s = l.ch.Stats(); return s.Waiting }) || l.w.drained.Load()
	switch {
	case !most.Latest && s.Sent-s.Delivered > uint64(most.Window):
		l.w.fail("more than %d messages have no outcome: %+v", most.Window, s)
	case s.Buffered > kept*most.Window || s.BufferedBytes > most.Bytes+int(l.largest.Load()):
		l.w.fail("more than %d messages or %d bytes and one message are kept: %+v", kept*most.Window, most.Bytes, s)
	case s.Waiting > most.Window+results*most.Window, s.Waiting > most.Window+results && !loose:
		l.w.fail("more results wait than %d, those of one message and those that a move lets come: %+v", most.Window, s)
	}
}

// tick is how often a receiver that pauses looks whether the pause is over.
const tick = 50 * time.Millisecond

func (l *life) receive() {
	defer close(l.rx)
	defer l.w.caught()
	for {
		for time.Until(time.Unix(0, l.paused.Load())) > 0 && l.ctx.Err() == nil {
			pass(l.ctx, min(time.Until(time.Unix(0, l.paused.Load())), tick)) // a pause may end early
		}
		r, err := l.ch.Recv(l.ctx)
		switch {
		case err == nil:
			l.w.count.Results.Add(1)
			l.w.sabotage.result(r, l.oracle.got)
			l.bounds()
		case errors.Is(err, elastic.ErrClosed) && l.closable(), errors.Is(err, context.Canceled):
			return
		default:
			l.end("recv: %v", err)
			return
		}
	}
}

// settle waits until all that was sent has come to what it must come to, and
// compares the channel's sums.
func (l *life) settle() {
	l.complete()
	sums := func() bool { // older messages may still be under way
		s := l.ch.Stats()
		return l.ended.Load() || s.Sent == l.seq && s.Skipped == l.oracle.skips()
	}
	if !l.w.until(l.w.patience(), sums) {
		l.w.fail("sent %d messages, of which %d had no result; Stats has %+v", l.seq, l.oracle.skips(), l.ch.Stats())
	}
}

func (l *life) complete() {
	sent := func() bool { return l.ended.Load() || l.sending.Load() == 0 }
	done := func() bool { return l.ended.Load() || l.oracle.done() }
	ok := l.untilIdle(sent)
	if ok && l.settings.Latest {
		ok = l.newest(done)
	} else if ok {
		ok = l.untilIdle(done)
	}
	if !ok {
		l.w.hangs("not all is answered %v after the last fault: %+v", l.w.patience(), l.ch.Stats())
	}
}

// untilIdle waits until ok, as long as messages are answered.
func (l *life) untilIdle(ok func() bool) bool {
	for {
		before := l.ch.Stats().Delivered
		if l.w.until(l.w.patience(), ok) {
			return true
		}
		if l.ch.Stats().Delivered == before {
			return false
		}
	}
}

// newest waits until the newest message of mode Latest is answered. Where that one
// was skipped, or late, another one is sent.
func (l *life) newest(done func() bool) bool {
	for range l.w.patience() / time.Second {
		if l.w.until(time.Second, done) {
			return true
		}
		l.sendOne(Step{Size: 8})
	}
	return false
}
