package budget

// A View is what a decision depends on.
type View struct {
	Total int64 // of the host
	Held  int64 // of it, by all shares
	Mine  int64 // of that, by the share that asks
	Most  int64 // that the share may hold
	Spare int64 // of Mine, does not count against the share's part of what is kept

	Weight  int64 // of the share
	Weights int64 // of all shares that hold something, the one that asks included

	First  bool // nobody of the share has waited for longer
	Others bool // shares that come before this one wait for the host to have room
}

// A Verdict is what to do about a request.
type Verdict int

// The verdicts. The zero Verdict refuses.
const (
	Never  Verdict = iota // the share may never hold as much
	Grant                 // the share has it at once
	Full                  // it waits until the share holds less
	Scarce                // it waits until the host holds less
)

// String returns the verdict's name.
func (v Verdict) String() string { return [...]string{"never", "grant", "full", "scarce"}[v] }

// kept returns the part of a total that is kept for shares that hold little.
func kept(total int64) int64 { return total / 4 }

// part returns how much of what is kept is the share's own.
func (v View) part() int64 { return kept(v.Total) * v.Weight / (v.Weights + v.Weight) }

// beyond returns how much the share holds beside what is spared.
func (v View) beyond() int64 { return max(0, v.Mine-v.Spare) }

// equal returns the share's part of what is free for all.
func (v View) equal() int64 { return (v.Total - kept(v.Total)) / max(v.Weights, 1) * v.Weight }

// claim is Decide for a share that others may have to give something up for: it is Full in place
// of Scarce where the share would have more than its equal part. One that holds nothing may
// have one thing, however large.
func claim(v View, n int64) Verdict {
	verdict := Decide(v, n)
	if verdict == Scarce && v.Mine > 0 && v.Mine+n > v.equal() {
		return Full
	}
	return verdict
}

// Decide says what to do about n more for a share.
//
//	0                              3/4 of the total             total
//	|-- free for all ---------------------|-- kept ----------------|
//	   any share, up to its most;            a share that has, with n,
//	   after those that waited before        no more than its part of it
//
// The part of a share is its weight's part of what is kept, counted as if one more share
// of that weight were there: so there is something left for the one that comes next.
// A share that holds no more than its part passes by all others that wait, since what
// they wait for is not what is kept for it. What is spared does not count in that, once
// it is held; to come by it, a share may use the first half of what is kept.
func Decide(v View, n int64) Verdict {
	part := v.part()
	little := v.beyond()+n <= part && v.Held+n <= v.Total
	comes := v.Mine+n <= part+v.Spare && v.Held+n <= v.Total-kept(v.Total)/2
	switch {
	case n > v.Most || n > v.Total-kept(v.Total) && n > part:
		return Never
	case !v.First || v.Mine+n > v.Most:
		return Full
	case little || comes:
		return Grant
	case v.Others, v.Held+n > v.Total-kept(v.Total):
		return Scarce
	}
	return Grant
}
