package bench

import "testing"

func TestOffloadgenGivesFigures(t *testing.T) {
	figures, err := Offloadgen{Quick: true}.Run(t.Context())
	if err != nil || len(figures) != 9 {
		t.Fatalf("%d figures, %v", len(figures), err)
	}
	for _, f := range figures {
		if f.Bench != "offloadgen" || f.Target == nil || f.N == 0 {
			t.Errorf("%+v", f)
		}
	}
}
