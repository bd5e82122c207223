package check

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// step does one step of the script.
func (w *world) step(s Step) {
	switch s.Op {
	case Wait:
		time.Sleep(s.For)
	case Air:
		w.weather(s)
	case Path:
		w.changePath(s)
	case Crash:
		w.crash(s)
	case Drain:
		w.drain(s)
	case Start:
		w.start(s.Host)
	case Mute:
		w.count.Mutes.Add(1)
		w.silence(s.Host, 1)
		time.AfterFunc(s.For, func() { w.unmute(s.Host) })
	case Slow:
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
		if s.Trap > 0 {
			w.hurt() // a guest that breaks takes its state along
		}
		l.sending.Add(1)
		l.sends <- s
	case Move:
		l.moves <- s
	case Pause:
		l.paused.Store(time.Now().Add(s.For).UnixNano())
	case Close:
		w.count.Closes.Add(1)
		l.close()
		w.lanes[s.Chan] = w.openLife(l.settings)
	case Shutdown:
		w.count.Closes.Add(1)
		l.shutdown()
		w.lanes[s.Chan] = w.openLife(l.settings)
	}
}

// crash ends a host in the middle of everything: its peers are not told.
func (w *world) crash(s Step) {
	if w.edges[s.Host] == nil {
		return
	}
	w.count.Crashes.Add(1)
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
	w.hurt() // what has not left in time is lost
	w.drained.Store(true)
	for _, l := range w.lanes {
		l.loose.Store(true)
	}
	e.drain()
	time.Sleep(s.For)
	w.stop(s.Host)
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

// weather makes the network bad for a while.
func (w *world) weather(s Step) {
	w.count.Bursts.Add(1)
	w.hurt()
	w.air.Set(nil, nil, radio.Faults{
		Loss: float64(s.Loss) / 100, Duplicate: float64(s.Dup) / 100, Reorder: float64(s.Late) / 100,
		Jitter: s.Jitter, Rate: float64(s.Rate),
	})
	time.AfterFunc(s.For, func() { w.air.Set(nil, nil, radio.Faults{}) })
}

// changePath takes the UE's connections to its other address, all at once.
func (w *world) changePath(s Step) {
	w.count.Paths.Add(1)
	w.mu.Lock()
	from := w.path
	w.path = 1 - w.path
	w.harm = w.harm || s.Told
	w.mu.Unlock()
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
