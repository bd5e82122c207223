package manager

// A sessionState is where a session is, as the manager knows it.
type sessionState int

const (
	asked   sessionState = iota // it waits for a decision
	placed                      // a host is told, and no beat has shown the session there
	running                     // its host shows it
	local                       // it runs on its UE
	ended
)

func (s sessionState) String() string {
	return [...]string{"asked", "placed", "running", "local", "ended"}[s]
}

// A sessionEvent is what happens to a session.
type sessionEvent int

const (
	toAsk   sessionEvent = iota // its UE asks again, and it has no host
	toPlace                     // a decision gives it a host, or another one
	toShow                      // a beat of its host shows that its UE is there
	toLocal                     // a decision gives it none
	toEnd                       // bye, revoked, or its UE and its hosts are silent
)

// next returns the state after ev.
//
//	asked --a host--> placed --its beat shows it--> running
//	asked, placed, running --no host--> local
//	local --asks again--> asked
//	running --another host--> placed (the lease before is used until a beat shows the next one)
//	any --bye, revoked, silent--> ended
func (s sessionState) next(ev sessionEvent) sessionState {
	switch {
	case s == ended || ev == toEnd:
		return ended
	case ev == toPlace:
		return placed
	case ev == toLocal:
		return local
	case s == placed && ev == toShow:
		return running
	case s == local && ev == toAsk:
		return asked
	}
	return s
}

// A leaseState is where a lease is, as the manager knows it. What counts is the host's own table.
type leaseState int

const (
	ordered  leaseState = iota // the host has been told to prepare it
	held                       // it has
	used                       // a beat shows that the UE is there
	stopping                   // the host has been told to end it
	over
)

func (s leaseState) String() string {
	return [...]string{"ordered", "held", "used", "stopping", "over"}[s]
}

// live says whether a UE may use the lease.
func (s leaseState) live() bool { return s <= used }

// A leaseEvent is what happens to a lease.
type leaseEvent int

const (
	didPrepare leaseEvent = iota
	showsUsed             // in a beat
	showsHeld             // in a beat, without a UE
	toStop                // the manager has no use for it
	isGone                // not in a beat, refused, late, or its host has let go of it
)

// next returns the state after ev.
//
//	ordered --Did--> held --beat: used--> used --beat: not used--> held
//	ordered, held, used --stop--> stopping
//	any --not in a beat, refused, late--> over
func (s leaseState) next(ev leaseEvent) leaseState {
	switch {
	case s == over || ev == isGone:
		return over
	case s == stopping || ev == toStop:
		return stopping
	case ev == showsUsed:
		return used
	case ev == didPrepare, ev == showsHeld:
		if ev == didPrepare && s == used {
			return used
		}
		return held
	}
	return s
}
