package ue

// A Place is where a call runs.
type Place int

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

// A Snapshot is what a Policy decides on.
type Snapshot struct {
	// Call is the number of the call of this function, from 0.
	Call uint64
	// Ready says that the edge host can take the call now.
	Ready bool
	// Now is where the last call of this function was sent.
	Now Place
}

// A Policy decides where the next call of an elastic function runs. Decide is a
// pure function of its snapshot; it is on the path of each call and is called by
// many goroutines at once. A call that it places on an edge host which is not
// ready runs on the UE and counts as a fallback.
type Policy interface {
	Decide(s Snapshot) Place
}

// Always places every call at one place: Always(OnUE), Always(OnEdge).
type Always Place

// Decide returns the place.
func (a Always) Decide(Snapshot) Place { return Place(a) }

// WhenReady offloads each call that the edge host can take, and no other.
type WhenReady struct{}

// Decide returns OnEdge while the edge host is ready.
func (WhenReady) Decide(s Snapshot) Place {
	if s.Ready {
		return OnEdge
	}
	return OnUE
}

// Toggle begins on the UE and changes the place after every Every calls. With 50 it is
// the experiment of paper 001 (section III). With zero it never leaves the UE.
type Toggle struct{ Every uint64 }

// Decide returns the place of call number s.Call.
func (t Toggle) Decide(s Snapshot) Place {
	if t.Every == 0 || s.Call/t.Every%2 == 0 {
		return OnUE
	}
	return OnEdge
}
