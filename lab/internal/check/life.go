package check

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// patience bounds each call of a channel in virtual time. A host that does not
// answer is given up after 5 s by its connection; a dial takes 3 s to fail, and a
// recovery 2 s a place.
const patience = time.Minute

// A life is a channel from Open to Close, and those who use it: a goroutine that
// sends, one that receives and one that moves.
type life struct {
	w        *stage
	settings Settings
	ch       *elastic.Channel[message, out]
	journal  *journal
	oracle   oracle

	ctx   context.Context // of receiving: ends when what is still to come does not matter
	stop  context.CancelFunc
	sends chan Step
	moves chan Step
	quit  chan struct{} // closed: senders and movers take no more steps
	wg    sync.WaitGroup
	rx    chan struct{} // closed when the receiver has ended

	seq     uint64 // of the last message; the sender's
	sending atomic.Int64
	paused  atomic.Int64 // until when nobody receives, in ns
	largest atomic.Int64 // message, in bytes on the wire
	ended   atomic.Bool  // with ErrLost, as documented
	moving  atomic.Bool
	loose   atomic.Bool // a move may have let more results come than the window
}

// openLife opens a channel whose far endpoint begins on the UE.
func (st *stage) openLife(s Settings) *life {
	st.lives++
	journal := newJournal(s.Once, st.fail)
	if st.apart {
		journal.states = nil
	}
	g := &ground{host: UE, journal: journal, desc: descOf(uint32(3*st.lives), s), slow: func() time.Duration { return 0 }}
	if st.register != nil {
		st.register(g.desc.Index, s, journal)
	}
	l := &life{
		w: st, settings: s, journal: journal, oracle: newOracle(s.Latest, st.fail),
		sends: make(chan Step, st.queue), moves: make(chan Step, st.queue),
		quit: make(chan struct{}), rx: make(chan struct{}),
	}
	cfg := elastic.Config{
		Window: s.Window, WindowBytes: s.Bytes, InFlight: s.InFlight, Deadline: s.Deadline,
		CheckpointMessages: s.Checkpoint, CheckpointInterval: s.Interval,
	}
	if s.Latest {
		cfg.Mode = elastic.Latest
	}
	if s.Standby != "" {
		cfg.Standby = []elastic.Target{st.targets[s.Standby]}
	}
	var err error
	if l.ch, err = elastic.Open(g.endpoint(), cfg); err != nil {
		st.fail("open: %v", err)
		return nil
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	go l.receive()
	events := l.ch.Events(l.ctx) // from its begin on
	go func() { defer st.caught(); l.listen(events) }()
	l.wg.Go(func() { defer st.caught(); l.steps(l.sends, l.send) })
	l.wg.Go(func() { defer st.caught(); l.steps(l.moves, l.move) })
	return l
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
		var refusal *wire.Fail
		switch {
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
	m := makeMessage(l.w.seed, l.seq+1, s, l.settings.Latest)
	l.largest.Store(max(l.largest.Load(), int64(len(m.body)+32)))
	for l.seq++; !l.over(); {
		l.oracle.add(m)
		err := l.try(m, s.Patience)
		if err == nil {
			l.w.count.Messages.Add(1)
			l.bounds()
			return true
		}
		l.oracle.drop(m)
		switch {
		case s.Patience > 0 && errors.Is(err, context.DeadlineExceeded):
			l.w.count.Refused.Add(1)
			time.Sleep(time.Millisecond)
		case errors.Is(err, elastic.ErrClosed) && l.over():
			return false
		case errors.Is(err, context.DeadlineExceeded):
			l.w.hangs("send takes over %v: message %d, %+v", patience, m.seq, l.ch.Stats())
			return false
		default:
			l.end("send message %d: %v", m.seq, err)
			return false
		}
	}
	return false
}

func (l *life) try(m message, wait time.Duration) error {
	limit := patience
	if wait > 0 {
		limit = wait
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return l.ch.SendMessage(ctx, elastic.Message[message]{Value: m, Tag: tagOf(m.seq)})
}

// end judges an error that a channel ended with: only ErrLost of an endpoint that
// is not idempotent, after harm was done, is as documented.
func (l *life) end(format string, args ...any) {
	err, _ := args[len(args)-1].(error)
	if l.settings.Once && errors.Is(err, elastic.ErrLost) && l.w.harmed() {
		if !l.ended.Swap(true) {
			l.w.count.Lost.Add(1)
		}
		return
	}
	l.w.fail(format, args...)
}

// bounds checks what the channel keeps. A move home waits for what is under way
// and so lets all of it come: that adds the results of as many messages.
func (l *life) bounds() {
	const window, windowBytes = 256, 8 << 20 // the defaults
	const kept, results = 4, 4               // messages kept for each of Window; results of a message, at most
	s, most := l.ch.Stats(), l.settings
	if most.Window == 0 {
		most.Window = window
	}
	if most.Bytes == 0 {
		most.Bytes = windowBytes
	}
	switch {
	case !most.Latest && s.Sent-s.Delivered > uint64(most.Window):
		l.w.fail("more than %d messages have no outcome: %+v", most.Window, s)
	case s.Buffered > kept*most.Window || s.BufferedBytes > most.Bytes+int(l.largest.Load()):
		l.w.fail("more than %d messages or %d bytes and one message are kept: %+v", kept*most.Window, most.Bytes, s)
	case s.Waiting > most.Window+results*most.Window, s.Waiting > most.Window+results && !l.loose.Load():
		l.w.fail("more results wait than %d, those of one message and those that a move lets come: %+v", most.Window, s)
	case s.Waiting <= most.Window && !l.moving.Load() && !l.w.drained.Load():
		l.loose.Store(false)
	}
}

func (l *life) receive() {
	defer close(l.rx)
	defer l.w.caught()
	for {
		if d := time.Until(time.Unix(0, l.paused.Load())); d > 0 {
			pass(l.ctx, d)
		}
		r, err := l.ch.Recv(l.ctx)
		switch {
		case err == nil:
			l.w.count.Results.Add(1)
			l.w.sabotage.give(r, l.oracle.got)
			l.bounds()
		case errors.Is(err, elastic.ErrClosed) && l.over(), errors.Is(err, context.Canceled):
			return
		default:
			l.end("recv: %v", err)
			return
		}
	}
}

func (l *life) move(s Step) {
	limit := patience
	if s.Patience > 0 {
		limit = s.Patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l.loose.Store(true)
	l.moving.Store(true)
	defer l.moving.Store(false)
	begin := time.Now()
	var to elastic.Target
	if s.Host != UE {
		to = l.w.targets[s.Host]
	}
	err := l.ch.Move(ctx, to)
	if took := time.Since(begin); took > limit+time.Second || s.Patience == 0 && took > patience/2 {
		l.w.hangs("move took %v, to %s: %v", took, s.Host, err)
	}
	// A channel leaves a host by itself that misses its deadline, on a slow network too.
	at, well := hostOf(l.ch.Where()), !l.w.harmed() && !l.over() && l.settings.Deadline == 0
	switch {
	case well && err == nil && at != s.Host:
		l.w.fail("the far endpoint is on %s after a move to %s", at, s.Host)
	case well && err != nil && s.Patience == 0, errors.Is(err, elastic.ErrClosed) && !l.over():
		l.w.fail("move to %s, with nothing amiss: %v", s.Host, err)
	case err == nil:
		l.w.count.Moves.Add(1)
	default:
		l.w.count.MovesFailed.Add(1)
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
	if !l.w.until(patience, sums) {
		l.w.fail("sent %d messages, of which %d had no result; Stats has %+v", l.seq, l.oracle.skips(), l.ch.Stats())
	}
}

func (l *life) complete() {
	sent := func() bool { return l.ended.Load() || l.sending.Load() == 0 }
	done := func() bool { return l.ended.Load() || l.oracle.done() }
	ok := l.w.until(patience, sent)
	if ok && l.settings.Latest {
		ok = l.newest(done)
	} else if ok {
		ok = l.w.until(patience, done)
	}
	if !ok {
		l.w.hangs("not all is answered %v after the last fault: %+v", patience, l.ch.Stats())
	}
}

// newest waits until the newest message of mode Latest is answered. Where that one
// was skipped, or late, another one is sent.
func (l *life) newest(done func() bool) bool {
	for range patience / time.Second {
		if l.w.until(time.Second, done) {
			return true
		}
		l.sendOne(Step{Size: 8})
	}
	return false
}

// shutdown ends the channel in order: nothing may be left out.
func (l *life) shutdown() {
	l.moving.Store(true) // all outcomes must come, as in a move
	l.loose.Store(true)
	l.quiet()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.ch.Shutdown(ctx); err != nil {
		l.end("shutdown: %v", err)
	}
	l.drained()
	if !l.ended.Load() && !l.settings.Latest && !l.oracle.done() {
		l.w.fail("after Shutdown and the last result some are missing")
	}
}

// close ends the channel at once.
func (l *life) close() {
	closed := make(chan struct{})
	close(l.quit)
	go func() { l.ch.Close(); close(closed) }()
	l.w.wait("Close", closed)
	l.w.wait("those who use a closed channel", waited(&l.wg))
	l.drained()
}

// quiet ends those who send and move.
func (l *life) quiet() {
	close(l.quit)
	l.w.wait("the end of Send and Move", waited(&l.wg))
}

// drained waits for the receiver, which ends with the channel, and adds up.
func (l *life) drained() {
	l.w.wait("the end of Recv", l.rx)
	l.stop()
	l.w.count.add(l.ch.Stats(), l.journal)
}

// waited returns a channel that is closed once wg is done.
func waited(wg *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}
