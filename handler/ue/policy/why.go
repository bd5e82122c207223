package policy

import (
	"strconv"
	"time"
)

// A Reason says which rule decided.
type Reason uint8

// The reasons, with what A and B of a Why are.
const (
	Unplanned   Reason = iota // nothing is settled for the function yet
	Fixed                     // the policy names the place for each call
	Turn                      // A: number of the turn
	HostReady                 // the edge host can take the call
	HostUnready               // it cannot
	Private                   // data must not leave the device
	TooDear                   // A: price of the host, B: the most that may be paid
	Faster                    // A: predicted here, B: there [s]
	InTime                    // A: predicted here, B: deadline [s]
	TooLate                   // A: predicted at the other place, B: deadline [s]
	Hot                       // A: temperature, B: limit [°C]
	Heating                   // A: time until the limit [s], B: limit [°C]
	Cooling                   // A: temperature, B: that at which it may come back [°C]
	LowBattery                // A: charge, B: where saving begins [share]
	Saving                    // A: energy of a call here, B: there [J]
	Dwelling                  // A: time since the last move, B: least time [s]
	TooLarge                  // A: size of the request, B: the largest that is in time [bytes]
	Exploring                 // A: one in so many calls
	Overloaded                // A: load of the UE's cores, B: cores
	Replaced                  // the policy failed; see Contain
)

// A Why is the reason of a decision, with its numbers. A and B are at the decided place ("here") and at the other one ("there"), or as
// the Reason says.
type Why struct {
	Reason Reason
	A, B   float32
}

// String returns the reason as a clause: "the edge host is not ready".
func (w Why) String() string {
	switch w.Reason {
	case Fixed:
		return "the policy names this place"
	case Turn:
		return "it is turn " + number(w.A, 0)
	case HostReady:
		return "the edge host is ready"
	case HostUnready:
		return "the edge host is not ready"
	case Private:
		return "its data must not leave the device"
	case TooDear:
		return "the edge host costs " + number(w.A, 3) + ", over " + number(w.B, 3)
	case Faster:
		return "it takes " + span(w.A) + " here and " + span(w.B) + " there"
	case InTime:
		return "it takes " + span(w.A) + " here, within " + span(w.B)
	case TooLate:
		return "it takes " + span(w.A) + " there, over " + span(w.B)
	case Hot:
		return "the UE has " + number(w.A, 1) + " °C, limit " + number(w.B, 1)
	case Heating:
		return "the UE reaches " + number(w.B, 1) + " °C in " + span(w.A)
	case Cooling:
		return "the UE has " + number(w.A, 1) + " °C and cools to " + number(w.B, 1)
	case LowBattery:
		return "the battery has " + number(100*w.A, 0) + " %, saving begins at " + number(100*w.B, 0)
	case Saving:
		return "it takes " + number(w.A, 3) + " J here and " + number(w.B, 3) + " there"
	case Dwelling:
		return "it moved " + span(w.A) + " ago, and stays for " + span(w.B)
	case TooLarge:
		return "its request of " + number(w.A, 0) + " bytes is over the " + number(w.B, 0) + " that are in time"
	case Exploring:
		return "one in " + number(w.A, 0) + " calls looks how the other place is"
	case Overloaded:
		return "the UE has a load of " + number(w.A, 1) + " on " + number(w.B, 1) + " cores"
	case Replaced:
		return "the policy failed, so all runs on the UE"
	}
	return "nothing is settled yet"
}

func number(x float32, digits int) string { return strconv.FormatFloat(float64(x), 'f', digits, 32) }

// span returns seconds as a duration, to three digits.
func span(s float32) string {
	d := time.Duration(float64(s) * float64(time.Second))
	unit := time.Duration(1)
	for x := d.Abs(); x >= 1000; x /= 10 {
		unit *= 10
	}
	return d.Round(unit).String()
}
