package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// A column is one of metrics.csv. Units are part of the name.
type column struct {
	name string
	cell func(*Run, *Frame) string
}

var columns = []column{
	{"frame", func(_ *Run, f *Frame) string { return strconv.Itoa(f.Number) }},
	{"where", func(_ *Run, f *Frame) string { return f.Where }},
	{"host", func(_ *Run, f *Frame) string { return f.Host }},
	{"fallback", func(_ *Run, f *Frame) string { return f.Fallback }},
	{"start_ms", func(_ *Run, f *Frame) string { return ms(f.Start) }},
	{"latency_ms", func(_ *Run, f *Frame) string { return ms(f.Latency) }},
	{"encode_ms", func(_ *Run, f *Frame) string { return ms(f.Encode) }},
	{"network_ms", func(_ *Run, f *Frame) string { return ms(f.Network) }},
	{"queue_ms", func(_ *Run, f *Frame) string { return ms(f.Queue) }},
	{"decode_ms", func(_ *Run, f *Frame) string { return ms(f.Decode) }},
	{"letterbox_ms", func(_ *Run, f *Frame) string { return ms(f.Letterbox) }},
	{"compute_ms", func(_ *Run, f *Frame) string { return ms(f.Compute) }},
	{"guest_ms", func(_ *Run, f *Frame) string { return ms(f.Guest) }},
	{"codec_ms", func(_ *Run, f *Frame) string { return ms(f.Codec) }},
	{"outside_ms", func(_ *Run, f *Frame) string { return ms(f.Outside()) }},
	{"fps", func(_ *Run, f *Frame) string { return cell(f.FPS, 3) }},
	{"ue_cpu_cores", func(_ *Run, f *Frame) string { return cell(f.CPU, 4) }},
	{"ue_cpu_ms", func(_ *Run, f *Frame) string { return ms(f.CPUTime) }},
	{"period_ms", func(_ *Run, f *Frame) string { return ms(f.Period) }},
	{"temp_celsius", func(_ *Run, f *Frame) string { return cell(f.Temp, 2) }},
	{"call_ms", func(_ *Run, f *Frame) string { return ms(f.Call()) }},
	{"deadline_ms", func(_ *Run, f *Frame) string { return known(f.Deadline) }},
	{"late", func(_ *Run, f *Frame) string { return yes(f.Late()) }},
	{"predicted_ue_ms", func(_ *Run, f *Frame) string { return known(f.Here) }},
	{"predicted_edge_ms", func(_ *Run, f *Frame) string { return known(f.There) }},
	{"why", func(_ *Run, f *Frame) string { return f.Why }},
	{"level", func(_ *Run, f *Frame) string { return strconv.Itoa(f.Level) }},
	{"quality", func(_ *Run, f *Frame) string { return strconv.Itoa(f.Quality) }},
	{"size", func(_ *Run, f *Frame) string { return cell(f.Size, 3) }},
	{"hedged", func(_ *Run, f *Frame) string { return yes(f.Hedged) }},
	{"wasted_ms", func(_ *Run, f *Frame) string { return ms(f.Wasted) }},
	{"temp_source", func(r *Run, _ *Frame) string { return r.TempSource }},
	{"bytes_up", func(_ *Run, f *Frame) string { return strconv.Itoa(f.BytesUp) }},
	{"bytes_down", func(_ *Run, f *Frame) string { return strconv.Itoa(f.BytesDown) }},
	{"detections", func(_ *Run, f *Frame) string { return strconv.Itoa(len(f.Boxes)) }},
	{"boxes_class_score_x_y_w_h", func(_ *Run, f *Frame) string { return boxes(f.Boxes) }},
}

// WriteCSV writes a header and a row a frame. Unknown figures are empty cells.
// The last column has the boxes, a semicolon after each but the last, its six
// figures in the order that the header names, in pixels.
func WriteCSV(w io.Writer, r *Run) error {
	out := csv.NewWriter(w)
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for n := range r.Frames {
		for i, c := range columns {
			row[i] = c.cell(r, &r.Frames[n])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func ms(d time.Duration) string { return cell(float64(millis(d)), 3) }

// known writes d, nothing for 0, which is not known.
func known(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ms(d)
}

// yes writes 1 for true.
func yes(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// cell writes x with digits after the point, nothing when it is unknown.
func cell(x float64, digits int) string {
	if !Number(x).Known() {
		return ""
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func boxes(all []head.Box) string {
	var b []byte
	for i, x := range all {
		if i > 0 {
			b = append(b, ';')
		}
		b = strconv.AppendInt(b, int64(x.Class), 10)
		for _, v := range []float32{x.Score, x.X, x.Y, x.W, x.H} {
			b = append(b, ' ')
			b = strconv.AppendFloat(b, float64(v), 'f', -1, 32)
		}
	}
	return string(b)
}
