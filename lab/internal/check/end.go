package check

import (
	"context"
	"sync"
	"time"
)

// shutdown ends the channel in order: nothing may be left out. With racing, others use
// the channel meanwhile.
func (l *life) shutdown(racing bool) {
	l.leeway.begin() // for good: all outcomes must come, as in a move
	l.racing.Store(racing)
	if !racing {
		l.quiet()
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.w.patience())
	defer cancel()
	err := l.ch.Shutdown(ctx)
	if err != nil {
		l.end("shutdown: %v", err)
	}
	if racing {
		l.quiet()
	}
	l.drained()
	if err == nil && !l.ended.Load() && !l.settings.Latest && !l.oracle.done() {
		l.w.fail("after Shutdown and the last result some are missing")
	}
}

// close ends the channel at once.
func (l *life) close() {
	closed := make(chan struct{})
	close(l.quit)
	begin := time.Now()
	go func() { l.w.sabotage.close(); l.ch.Close(); close(closed) }()
	l.w.wait("Close", closed)
	if took, most := time.Since(begin), closeTime+l.settings.Deadline; l.w.adversary && took > most {
		l.w.fail("close takes long: %v, over %v: %+v", took, most, l.ch.Stats())
	}
	l.w.wait("those who use a closed channel", waited(&l.wg))
	l.drained()
}

// closeTime is how long Close may take where no message has a deadline.
const closeTime = 2 * time.Second

// quiet ends those who send and move.
func (l *life) quiet() {
	close(l.quit)
	l.w.wait("the end of Send and Move", waited(&l.wg))
}

// drained waits for the receiver, which ends with the channel, and adds up.
func (l *life) drained() {
	l.paused.Store(0)
	l.w.wait("the end of Recv", l.rx)
	l.stop()
	s := l.ch.Stats()
	l.w.sabotage.stats(&s)
	l.w.count.add(s, l.journal)
	l.judge.sums(s)
}

// waited returns a channel that is closed once wg is done.
func waited(wg *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	return done
}
