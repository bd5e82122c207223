package policy

// Always places every call at one place: Always(OnUE), Always(OnEdge).
type Always Place

// Decide returns the place.
func (a Always) Decide(Call, *View) Decision {
	return Decision{Where: Place(a), Why: Why{Reason: Fixed}}
}

// WhenReady offloads each call that the edge host can take, and no other.
type WhenReady struct{}

// Decide returns OnEdge while the edge host is ready.
func (WhenReady) Decide(c Call, _ *View) Decision {
	if c.Ready {
		return Decision{Where: OnEdge, Why: Why{Reason: HostReady}}
	}
	return Decision{Why: Why{Reason: HostUnready}}
}

// Toggle begins on the UE and changes the place after every Every calls. With 50 it is
// the experiment of paper 001 (section III). With zero it never leaves the UE.
type Toggle struct{ Every uint64 }

// Decide returns the place of call number c.Number.
func (t Toggle) Decide(c Call, _ *View) Decision {
	if t.Every == 0 {
		return Decision{Why: Why{Reason: Fixed}}
	}
	turn := c.Number / t.Every
	return Decision{Where: Place(turn % 2), Why: Why{Reason: Turn, A: float32(turn)}}
}
