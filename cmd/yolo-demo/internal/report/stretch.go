package report

// A Stretch is a row of frames computed at one place, From to To, both numbers
// included.
type Stretch struct {
	Where    string
	From, To int
}

// Stretches cuts a run where its frames move.
func Stretches(frames []Frame) []Stretch {
	var all []Stretch
	for i := range frames {
		f := &frames[i]
		if len(all) == 0 || all[len(all)-1].Where != f.Where {
			all = append(all, Stretch{f.Where, f.Number, f.Number})
		}
		all[len(all)-1].To = f.Number
	}
	return all
}
