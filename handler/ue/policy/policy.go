package policy

import "time"

// A Place is where a call runs.
type Place uint8

// The places: natively on the UE, or on the edge host.
const (
	OnUE Place = iota
	OnEdge
)

// String returns "ue" or "edge".
func (p Place) String() string {
	if p == OnEdge {
		return "edge"
	}
	return "ue"
}

// Other returns the other place.
func (p Place) Other() Place { return p ^ 1 }

// A Call is what a policy decides on, beside the view.
type Call struct {
	// Function is the number of the called function in View.Functions.
	Function int
	// Number is that of the call among those of this function, from 0.
	Number uint64
	// Ready says that the edge host can take the call now.
	Ready bool
	// Now is where the last call of this function was sent.
	Now Place
	// Bytes is the size of the request. 0 means that it is not known before the request is encoded.
	Bytes int
}

// A Decision says how a call runs.
type Decision struct {
	// Where the call runs. One that is placed on an edge host which is not ready runs on the UE, and counts as a fallback.
	Where Place
	// Fidelity is the level of Function.Levels at which the next call is to be encoded. 0 is the best, and the only one
	// of a function without levels.
	Fidelity uint8
	// Hedge is how long after its begin a call on an edge host that has no answer yet is begun on the UE, too. Zero
	// means never. Only idempotent functions are hedged.
	Hedge time.Duration
	// Why is the reason.
	Why Why
}

// A Policy decides where calls run. See the package's documentation for what Decide may do.
type Policy interface {
	// Decide decides on one call. It is a pure function of c and v.
	Decide(c Call, v *View) Decision
}

// A Planner is a policy that thinks ahead.
type Planner interface {
	Policy
	// Plan returns what stands for each of v.Functions from now on, in their order. What stood before is in v.Standings,
	// which has fewer when functions are new, and none at first. It is called for each new view, at most some 20 times a second.
	Plan(v *View) []Standing
}

// A Standing is what a Planner has settled for a function. The zero Standing is the UE, at the best fidelity, without hedging.
type Standing struct {
	// Where calls run as long as the edge host is ready.
	Where Place
	// Why is the reason of Where.
	Why Why
	// Since is the View.At of the last change of Where; 0 means that there was none.
	Since time.Duration
	// Fidelity is the level for each place.
	Fidelity [2]uint8
	// Hedge is Decision.Hedge of calls on an edge host.
	Hedge time.Duration
	// MostBytes is the largest request that goes to an edge host. 0 means any.
	MostBytes int
	// Explore sends one in so many calls to the other place, to see how it is there. 0 means none.
	Explore uint64
	// Left is the View.At of the last move to the edge, 0 before the first; Refused is how many such moves in a row had to be taken
	// back at once. Both are the planner's own.
	Left    time.Duration
	Refused uint8
}
