package check

import "sync"

// A leeway says whether more results may wait for Recv than the window has. A move and
// a Shutdown let all outcomes come that are under way, and Recv takes them later.
type leeway struct {
	mu    sync.Mutex
	moves int // and Shutdowns, under way
	loose bool
}

// begin notes that a move or Shutdown begins.
func (l *leeway) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moves++
	l.loose = true
}

// end notes that a move has ended. The results that it let come may still wait.
func (l *leeway) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moves--
}

// underway returns how many moves and Shutdowns there are.
func (l *leeway) underway() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moves
}

// look calls waiting, which returns how many results wait, and says whether there may
// be more than the window. Once no more wait and nothing is under way, there may not.
func (l *leeway) look(window int, waiting func() int) (loose bool) {
	l.mu.Lock() // over waiting too: its answer belongs to the moves that are counted
	defer l.mu.Unlock()
	loose = l.loose
	if waiting() <= window && l.moves == 0 {
		l.loose = false
	}
	return loose
}
