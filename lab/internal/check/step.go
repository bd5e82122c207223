package check

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// step does one step of the script.
func (w *world) step(s Step) {
	switch s.Op {
	case Wait:
		time.Sleep(s.For)
	case Air:
		w.weather(s)
	case Link:
		w.narrow(s)
	case Refuse:
		w.refuse(s)
	case Path:
		w.changePath(s)
	case Crash:
		w.crash(s)
	case Drain:
		w.drain(s)
	case Start:
		w.begin(s)
	case Mute:
		w.count.Mutes.Add(1)
		w.blame.excuse(s.Host, doomed, s.For)
		w.silence(s.Host, 1)
		time.AfterFunc(s.For, func() { w.unmute(s.Host) })
	case Slow:
		w.blame.slowed(s.Every)
		w.mu.Lock()
		w.slow[s.Host] = s.Every
		w.harm = true // its messages may overrun their deadline
		w.mu.Unlock()
	default:
		w.onChannel(s, w.lanes[s.Chan])
	}
}

// onChannel does a step that is for a channel.
func (w *world) onChannel(s Step, l *life) {
	switch s.Op {
	case Send:
		if s.Trap+s.Panic+s.Memory+s.Large+s.Overrun+s.Stubborn > 0 {
			w.hurt() // a guest that breaks takes its state along
		}
		l.sending.Add(1)
		l.sends <- s
	case Move:
		l.moves <- s
	case Place:
		w.count.Places.Add(1)
		if !l.follower.take(s) {
			w.count.Stale.Add(1)
		}
	case Pause:
		w.blame.paused(s.For)
		l.paused.Store(time.Now().Add(s.For).UnixNano())
	case Close:
		w.count.Closes.Add(1)
		l.close()
		w.lanes[s.Chan] = w.openLife(l.settings)
	case Shutdown:
		w.count.Closes.Add(1)
		if s.Racing {
			w.count.Races.Add(1)
		}
		l.shutdown(s.Racing)
		w.lanes[s.Chan] = w.openLife(l.settings)
	}
}

// crash ends a host in the middle of everything: its peers are not told.
func (w *world) crash(s Step) {
	if w.edges[s.Host] == nil {
		return
	}
	w.count.Crashes.Add(1)
	w.blame.excuse(s.Host, gone, forever)
	w.silence(s.Host, 1)
	w.stop(s.Host)
	w.silence(s.Host, -1)
	if s.Told {
		time.AfterFunc(w.script.Delay, w.peers[s.Host].drop)
	}
}

// drain ends a host in order.
func (w *world) drain(s Step) {
	e := w.edges[s.Host]
	if e == nil {
		return
	}
	w.count.Drains.Add(1)
	w.drains.Add(1)
	w.hurt() // what has not left in time is lost
	w.blame.excuse(s.Host, unwilling, forever)
	short := s.For < w.departure()
	if short {
		w.blame.excuse(s.Host, gone, forever)
	}
	w.drained.Store(true)
	if !w.sabotage.deaf {
		e.drain()
	}
	time.Sleep(s.For)
	for _, l := range w.lanes {
		if !short {
			l.judge.stays(s.Host)
		}
	}
	w.stop(s.Host)
	w.blame.excuse(s.Host, gone, forever)
}

// departure is how long all far endpoints need to leave a host.
func (w *world) departure() (most time.Duration) {
	for _, l := range w.lanes {
		most = max(most, l.handover())
	}
	return most + 5*time.Second + time.Duration(w.lags.Load())
}

// begin starts a host again.
func (w *world) begin(s Step) {
	if w.edges[s.Host] != nil {
		return
	}
	identity := same
	switch {
	case s.Foreign:
		identity = foreign
		w.count.Foreign.Add(1)
	case s.Renewed:
		identity = renewed
		w.count.Renewed.Add(1)
	}
	w.start(s.Host, identity)
	if !s.Foreign {
		w.blame.forgive(s.Host, gone)
		w.blame.forgive(s.Host, unwilling)
	}
}

// unmute takes away one of a host's reasons to be silent, unless heal has taken all.
func (w *world) unmute(h Host) {
	w.mu.Lock()
	healed := w.muted[h] == 0
	w.mu.Unlock()
	if !healed {
		w.silence(h, -1)
	}
}

// changePath takes the UE's connections to its other address, all at once.
func (w *world) changePath(s Step) {
	w.count.Paths.Add(1)
	w.mu.Lock()
	from := w.path
	w.path = 1 - w.path
	w.harm = w.harm || s.Told
	w.mu.Unlock()
	for _, h := range hosts {
		w.blame.excuse(h, laggard, 0)
		if s.Told {
			w.blame.excuse(h, doomed, 0)
		}
	}
	w.air.Cut(ueIP(1-from), false)
	w.air.Cut(ueIP(from), s.Told)
	for _, h := range hosts {
		conn := w.peers[h].current()
		if conn == nil || conn.Err() != nil {
			continue
		}
		w.switches.Go(func() { w.switchPath(conn) })
	}
}

// switchPath takes a connection to the UE's current address. Where that fails the
// connection stays, or ends as any other whose host cannot be reached.
func (w *world) switchPath(conn *link.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if conn.SwitchPath(ctx, w.socket()) == nil {
		w.count.Switches.Add(1)
	}
}
