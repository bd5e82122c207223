package bench

import "math"

// A spread is the mean of some values and what is around it. The zero spread is of none.
type spread struct {
	n           int
	mean, sd    float64
	least, most float64
}

// spreadOf returns the spread of v. Its sd is that of a sample: 0 for a single value.
func spreadOf(v []float64) (s spread) {
	if len(v) == 0 {
		return s
	}
	s = spread{n: len(v), mean: mean(v), least: v[0], most: v[0]}
	sum := 0.
	for _, x := range v {
		sum += (x - s.mean) * (x - s.mean)
		s.least, s.most = min(s.least, x), max(s.most, x)
	}
	if len(v) > 1 {
		s.sd = math.Sqrt(sum / float64(len(v)-1))
	}
	return s
}

// student has the 97.5th percentile of Student's t distribution, by degrees of freedom from 1 to 30.
var student = [...]float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

// half returns half of the 95 % confidence interval of the mean: 0 for fewer than two values, which have none.
func (s spread) half() float64 {
	if s.n < 2 {
		return 0
	}
	return student[min(s.n-1, len(student))-1] * s.sd / math.Sqrt(float64(s.n))
}

// beside is what stands beside a mean.
func (s spread) beside() map[string]float64 {
	return map[string]float64{"sd": s.sd, "least": s.least, "most": s.most, "ci95_half": s.half()}
}
