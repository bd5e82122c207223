package check

import "time"

// scenes are rows of steps that strike one channel where it hurts. They begin a script, and
// may change the channel's settings.
var scenes = []func(a *attacker, s *Script, ch int){
	(*attacker).poisoned, (*attacker).row, (*attacker).overruns, (*attacker).narrow, (*attacker).departs,
	(*attacker).cramped, (*attacker).shuttle, (*attacker).cascade, (*attacker).stuck, (*attacker).flooded, (*attacker).races, (*attacker).returns,
}

// scene appends steps of channel ch.
func (s *Script) scene(ch int, steps ...Step) {
	for _, st := range steps {
		st.Chan = ch
		if !st.forChannel() {
			st.Chan = 0
		}
		s.Steps = append(s.Steps, st)
	}
}

func (a *attacker) millis(from, to int) time.Duration {
	return time.Duration(from+a.IntN(to-from+1)) * time.Millisecond
}

// poisoned loses a host while messages that break their far endpoint are under way.
func (a *attacker) poisoned(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Latest, set.Window = false, false, pick(&a.generator, 0, 16, 64)
	at, _, _ := a.places()
	burst := Step{Op: Send, N: 5 + a.IntN(30), Size: 8}
	*pick(&a.generator, &burst.Panic, &burst.Trap, &burst.Memory, &burst.Large) = 1 + a.IntN(6)
	s.scene(ch, a.plain(ch, *set), Step{Op: Move, Host: at}, wait(a.millis(50, 300)),
		Step{Op: Slow, Host: at, Every: a.millis(1, 10)}, burst, wait(a.millis(1, 40)),
		Step{Op: Crash, Host: at, Told: a.chance(70)}, wait(a.millis(500, 4000)))
	a.down[at] = true
}

// row sends messages that break in a row to a healthy host that has many to replay.
func (a *attacker) row(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Latest, set.Window, set.Bytes, set.Checkpoint, set.Interval, set.Deadline = false, false, 0, 0, 0, 0, 0
	at, _, _ := a.places()
	bad := Step{Op: Send, N: 2 + a.IntN(4), Size: 8}
	*pick(&a.generator, &bad.Panic, &bad.Trap, &bad.Memory) = 1
	s.scene(ch, Step{Op: Move, Host: at}, wait(a.millis(50, 200)), Step{Op: Send, N: 20 + a.IntN(100), Size: 8},
		wait(a.millis(20, 50)), Step{Op: Slow, Host: at, Every: a.millis(1, 5)}, bad, a.plain(ch, *set), wait(a.millis(500, 3000)))
}

// overruns sends messages that take longer than their deadline.
func (a *attacker) overruns(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Deadline = false, a.millis(50, 300)
	bad := Step{Op: Send, N: 5 + a.IntN(15), Size: 8, Every: pick(&a.generator, 0, a.time(20*time.Millisecond))}
	*pick(&a.generator, &bad.Overrun, &bad.Overrun, &bad.Stubborn) = 3 + a.IntN(12)
	at, _, _ := a.places()
	s.scene(ch, a.plain(ch, *set), Step{Op: Move, Host: at}, wait(a.millis(50, 300)), bad, wait(a.millis(500, 6000)))
}

// heavy makes the state large, and its copies few: they take this program long.
func (a *attacker) heavy(set *Settings) {
	set.Pad = 200_000 + a.IntN(300_000)
	set.Window, set.Bytes, set.Checkpoint, set.Interval, set.Deadline = max(set.Window, 16), 0, 0, 0, 0
}

// narrow moves a large state over a slow link.
func (a *attacker) narrow(s *Script, ch int) {
	set := &s.Channels[ch]
	a.heavy(set)
	at, _, _ := a.places()
	s.scene(ch, Step{Op: Move, Host: at}, a.plain(ch, *set), wait(a.millis(500, 1500)),
		Step{Op: Link, Host: at, For: 20 * time.Second, Rate: (1 + a.IntN(4)) * 500_000},
		a.plain(ch, *set), wait(a.millis(100, 5000)), Step{Op: Move, Host: pick(&a.generator, UE, A, B, C)}, wait(12*time.Second))
}

// departs drains a host while the state is large and the link slow, with time enough.
func (a *attacker) departs(s *Script, ch int) {
	set := &s.Channels[ch]
	a.heavy(set)
	set.Once = set.Once || a.chance(50)
	at, _, _ := a.places()
	s.scene(ch, Step{Op: Move, Host: at}, a.plain(ch, *set), wait(a.millis(500, 1500)),
		Step{Op: Link, Host: at, For: 70 * time.Second, Rate: (2 + a.IntN(3)) * 500_000},
		a.plain(ch, *set), Step{Op: Drain, Host: at, For: 60 * time.Second})
	a.down[at] = true
}

// cramped moves to hosts that refuse the state.
func (a *attacker) cramped(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once = set.Once || a.chance(60)
	at, to, _ := a.places()
	s.scene(ch, Step{Op: Move, Host: pick(&a.generator, UE, at)}, a.plain(ch, *set), wait(a.millis(20, 200)),
		Step{Op: Refuse, Host: to, For: a.millis(500, 3000), Restore: true},
		Step{Op: Move, Host: to}, wait(a.millis(1, 50)), a.plain(ch, *set), wait(a.millis(200, 4000)))
}

// shuttle moves to a standby while it gets ready, and loses it when all is quiet.
func (a *attacker) shuttle(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Deadline = false, 0
	at, to, _ := a.places()
	set.Standby = pick(&a.generator, []Host{at, to}, []Host{to, at})
	s.scene(ch, a.plain(ch, *set), Step{Op: Move, Host: to}, wait(a.millis(1, 30)), Step{Op: Move, Host: at},
		a.plain(ch, *set), wait(7*time.Second), a.plain(ch, *set), Step{Op: Crash, Host: at, Told: a.chance(70)},
		a.plain(ch, *set), wait(a.millis(500, 6000)))
	a.down[at] = true
}

// cascade loses a host whose successor has many messages to replay, each well within its
// deadline.
func (a *attacker) cascade(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Latest, set.Window, set.Bytes, set.Checkpoint, set.Interval, set.Deadline = false, false, 0, 0, 0, 0, 100*time.Millisecond
	at, to, third := a.places()
	set.Standby = pick(&a.generator, []Host{to, third}, []Host{to})
	s.Delay = min(s.Delay, 5*time.Millisecond)
	work := a.millis(2, 5)
	s.scene(ch, Step{Op: Slow, Host: at, Every: work}, Step{Op: Slow, Host: to, Every: work}, Step{Op: Slow, Host: third, Every: work},
		Step{Op: Move, Host: at}, wait(50*time.Millisecond), Step{Op: Send, N: 150 + a.IntN(150), Size: 8, Every: 10 * time.Millisecond},
		wait(a.millis(800, 2000)), Step{Op: Crash, Host: at, Told: true}, wait(3*time.Second))
	a.down[at] = true
}

// stuck moves twice while nobody receives and results fill the window.
func (a *attacker) stuck(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Window = pick(&a.generator, 1, 2, 5, 16)
	at, to, third := a.places()
	s.scene(ch, Step{Op: Move, Host: at}, wait(a.millis(20, 100)), Step{Op: Pause, For: 25 * time.Second},
		Step{Op: Send, N: 40, Size: 8}, wait(a.millis(10, 1500)), Step{Op: Move, Host: to}, wait(a.millis(1, 500)),
		Step{Op: Move, Host: pick(&a.generator, third, at, UE)}, wait(20*time.Second))
}

// flooded fills the window of results while nobody receives.
func (a *attacker) flooded(s *Script, ch int) {
	set := &s.Channels[ch]
	set.Once, set.Latest, set.Window, set.Checkpoint = false, false, pick(&a.generator, 1, 2, 5, 16), pick(&a.generator, 1, 7, 30)
	at, _, _ := a.places()
	s.scene(ch, Step{Op: Move, Host: at}, wait(a.millis(20, 100)), Step{Op: Pause, For: a.millis(2000, 6000)},
		Step{Op: Send, N: 20 + a.IntN(40), Size: 8, Vary: a.chance(50)}, wait(6*time.Second))
}

// races shuts down at the moment when a large message is sent and all others have been
// answered, again and again.
func (a *attacker) races(s *Script, ch int) {
	const every = 10 * time.Millisecond
	set := &s.Channels[ch]
	set.Latest, set.Window, set.Bytes = false, 0, 0
	s.Delay = min(s.Delay, time.Millisecond)
	for range 2 + a.IntN(4) {
		at, _, _ := a.places()
		s.scene(ch, Step{Op: Move, Host: at}, wait(50*time.Millisecond),
			Step{Op: Send, N: 20, Size: pick(&a.generator, 2000, 16<<10, 64<<10), Every: every},
			wait(every*time.Duration(1+a.IntN(4))), Step{Op: Shutdown, Racing: true})
	}
}

// returns has a host come back at its address with another certificate, and moves there.
func (a *attacker) returns(s *Script, ch int) {
	at, _, _ := a.places()
	s.scene(ch, Step{Op: Move, Host: at}, a.plain(ch, s.Channels[ch]), wait(a.millis(20, 200)),
		Step{Op: Crash, Host: at, Told: a.chance(70)}, wait(a.millis(1, 300)))
	if a.chance(50) {
		s.scene(ch, Step{Op: Start, Host: at, Foreign: true}, Step{Op: Move, Host: at}, wait(a.millis(10, 4000)), Step{Op: Crash, Host: at})
	}
	s.scene(ch, Step{Op: Start, Host: at, Renewed: a.chance(70)}, wait(a.millis(10, 12_000)), Step{Op: Move, Host: at},
		a.plain(ch, s.Channels[ch]), wait(a.millis(20, 200)))
}
