package notifier

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
)

// device makes the files of a device below a new folder, and returns it.
func device(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		set(t, root, name, text)
	}
	return root
}

func set(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rigOf makes samples of such a device.
func rigOf(t *testing.T, root string) *rig {
	t.Helper()
	s := NewSystem(&SystemConfig{Root: root})
	t.Cleanup(func() { s.Close() })
	return newRig(s)
}

// chip is a chip of hwmon with inputs, each with its label.
func chip(n, name string, inputs ...string) map[string]string {
	dir := "sys/class/hwmon/hwmon" + n + "/"
	files := map[string]string{dir + "name": name}
	for i, input := range inputs {
		label, value, _ := strings.Cut(input, "=")
		number := string(rune('1' + i))
		files[dir+"temp"+number+"_input"] = value
		if label != "" {
			files[dir+"temp"+number+"_label"] = label
		}
	}
	return files
}

// zonesOf are thermal zones.
func zonesOf(zones ...string) map[string]string {
	files := map[string]string{}
	for i, z := range zones {
		dir := "sys/class/thermal/thermal_zone" + string(rune('0'+i)) + "/"
		files[dir+"type"], files[dir+"temp"], _ = strings.Cut(z, "=")
	}
	return files
}

func joinedFiles(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, files := range all {
		for name, text := range files {
			sum[name] = text
		}
	}
	return sum
}

// The hottest sensor of the processor counts, as boards of public reports have them.
func TestTemperature(t *testing.T) {
	tests := []struct {
		why    string
		files  map[string]string
		want   float64
		source string // "": unknown
	}{
		{"no sensors", nil, 0, ""},
		{"each core has one", chip("0", "coretemp", "Package id 0=52000", "Core 0=51000", "Core 1=57500"), 57.5, "coretemp Core 1"},
		{"a disk is not the processor", joinedFiles(chip("0", "nvme", "Composite=70000"), chip("1", "k10temp", "Tctl=44125")), 44.125, "k10temp Tctl"},
		{"a disk alone says nothing of it", chip("0", "nvme", "Composite=70000"), 0, ""},
		{"inputs of the mainboard are not wired (lm-sensors 294)",
			joinedFiles(chip("0", "nct6776", "SYSTIN=119000", "CPUTIN=109000", "AUXTIN=119000"), chip("1", "coretemp", "Core 0=30000")), 30, "coretemp Core 0"},
		{"a mainboard alone is not believed", chip("0", "nct6779", "CPUTIN=48000"), 0, ""},
		{"Tctl is for fans, Tdie and Tccd are measured", chip("0", "k10temp", "Tctl=79500", "Tdie=52500", "Tccd1=54250"), 54.25, "k10temp Tccd1"},
		{"processors before Zen have no temperature", chip("0", "k10temp", "=61000"), 0, ""},
		{"a phone with an entry of hwmon for its battery", joinedFiles(chip("0", "battery", "=31000"),
			zonesOf("cpu-0-0-usr=48100", "cpu-1-7-usr=55300", "gpuss-0-usr=60000", "battery=31000")), 55.3, "zone cpu-1-7-usr"},
		{"a board", zonesOf("cpu-thermal=48312"), 48.312, "zone cpu-thermal"},
		{"RK3588", zonesOf("soc-thermal=44300", "bigcore0-thermal=45300", "gpu-thermal=60000"), 45.3, "zone bigcore0-thermal"},
		{"Jetson's PMIC-Die is always 100 °C (psutil 1873)", zonesOf("AO-therm=40500", "CPU-therm=34500", "GPU-therm=35000", "PMIC-Die=100000"), 34.5, "zone CPU-therm"},
		{"firmware's zone never changes", zonesOf("acpitz=27800", "x86_pkg_temp=63000"), 63, "zone x86_pkg_temp"},
		{"whole degrees (build-pine64-image 21)", zonesOf("cpu_thermal_zone=65"), 65, "zone cpu_thermal_zone"},
		{"tenths of a degree", zonesOf("tsens_tz_sensor1=412"), 41.2, "zone tsens_tz_sensor1"},
		{"a sensor of many that always reads 135", zonesOf("tsens_tz_sensor0=47", "tsens_tz_sensor1=45", "tsens_tz_sensor4=135"), 47, "zone tsens_tz_sensor0"},
		{"MediaTek", zonesOf("mtktscpu=52700", "mtktspmic=61000", "mtktsbattery=34000"), 52.7, "zone mtktscpu"},
		{"Tensor", zonesOf("BIG=61000", "MID=58000", "LITTLE=55000", "G3D=70000"), 61, "zone BIG"},
		{"cores that are asleep", chip("0", "coretemp", "Core 0=-127000", "Core 1=255000"), 0, ""},
		{"not a number", chip("0", "coretemp", "Core 0=N/A"), 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			s := rigOf(t, device(t, tt.files)).after(0)
			if tt.source == "" {
				if r := s.Get(Temperature); r.Known() || r.Why == "" {
					t.Errorf("%+v; want it unknown, with a reason", r)
				}
				return
			}
			wantValue(t, s, Temperature, tt.want, tt.source)
		})
	}
}

func TestSkinTemperature(t *testing.T) {
	for _, zone := range []string{"skin_therm", "skin-therm-usr", "quiet-therm-usr", "quiet_therm", "VIRTUAL-SKIN", "TSKN"} {
		s := rigOf(t, device(t, zonesOf("cpu-0-0-usr=61000", zone+"=38400"))).after(0)
		wantValue(t, s, SkinTemperature, 38.4, "zone "+zone)
		wantValue(t, s, Temperature, 61, "zone cpu-0-0-usr")
	}
}

// The limit is where the processor is slowed down, not where it is switched off or a fan is switched on.
func TestTemperatureLimit(t *testing.T) {
	const zone = "sys/class/thermal/thermal_zone0/"
	trip := func(n, kind, temp string) map[string]string {
		return map[string]string{zone + "trip_point_" + n + "_type": kind, zone + "trip_point_" + n + "_temp": temp}
	}
	tests := []struct {
		why    string
		files  map[string]string
		want   float64
		source string // "": unknown
	}{
		{"no trip point", zonesOf("cpu-thermal=48312"), 0, ""},
		{"the first passive one", joinedFiles(zonesOf("cpu-thermal=48312"), trip("0", "active", "55000"), trip("1", "passive", "85000"),
			trip("2", "passive", "80000"), trip("3", "critical", "115000")), 80, "zone cpu-thermal"},
		{"one that is no limit", joinedFiles(zonesOf("BIG=48000"), trip("0", "passive", "20000"), trip("1", "passive", "83000")), 83, "zone BIG"},
		{"whole degrees", joinedFiles(zonesOf("cpu_thermal=48"), trip("0", "passive", "75")), 75, "zone cpu_thermal"},
		{"of a zone that is not the processor's", joinedFiles(zonesOf("battery=30000"), trip("0", "passive", "60000")), 0, ""},
		{"Intel's", joinedFiles(chip("0", "coretemp", "Core 0=51000"), map[string]string{"sys/class/hwmon/hwmon0/temp1_crit": "100000"}), 100, "coretemp Core 0"},
		{"a driver without one", joinedFiles(chip("0", "coretemp", "Core 0=51000"), map[string]string{"sys/class/hwmon/hwmon0/temp1_crit": "0"}), 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			if s := rigOf(t, device(t, tt.files)).after(0); tt.source == "" {
				wantUnknown(t, s, TemperatureLimit, "no sensor tells it")
			} else {
				wantValue(t, s, TemperatureLimit, tt.want, tt.source)
			}
		})
	}
}

// The unit of a zone is what its first number was in.
func TestScaleStays(t *testing.T) {
	root := device(t, zonesOf("cpu-thermal=40000"))
	g := rigOf(t, root)
	wantValue(t, g.after(0), Temperature, 40, "zone cpu-thermal")
	set(t, root, "sys/class/thermal/thermal_zone0/temp", "90")
	wantUnknown(t, g.after(2*lookEvery), Temperature, "zone cpu-thermal reads 0.1 °C, which cannot be")
}

// Sensors come and go while the notifier runs.
func TestSensorsArePlugged(t *testing.T) {
	root := device(t, chip("0", "coretemp", "Core 0=41000"))
	g := rigOf(t, root)
	wantValue(t, g.after(0), Temperature, 41, "coretemp Core 0")
	for name, text := range chip("1", "coretemp", "Core 1=47000") {
		set(t, root, name, text)
	}
	wantValue(t, g.during(seekEvery), Temperature, 47, "coretemp Core 1")
	if err := os.RemoveAll(filepath.Join(root, "sys/class/hwmon")); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, g.during(seekEvery), Temperature, "no sensor")
}

func TestBattery(t *testing.T) {
	const dir = "sys/class/power_supply/"
	bat := func(name string, fields ...string) map[string]string {
		files := map[string]string{dir + name + "/type": "Battery"}
		for _, f := range fields {
			key, value, _ := strings.Cut(f, "=")
			files[dir+name+"/"+key] = value
		}
		return files
	}
	nan := math.NaN()
	tests := []struct {
		why                          string
		files                        map[string]string
		level, rate, power, charging float64 // NaN: unknown
	}{
		{"none", nil, nan, nan, nan, nan},
		{"a laptop", bat("BAT0", "status=Discharging", "capacity=80", "energy_now=40000000", "energy_full=50000000", "power_now=10000000"), 80, -20, 10, 0},
		{"a phone, whose driver's current is negative", bat("battery", "status=Discharging", "capacity=55",
			"charge_full=5000000", "current_now=-500000", "voltage_now=4000000"), 55, -10, 2, 0},
		{"it is charged", bat("BAT0", "status=Charging", "capacity=80", "energy_full=50000000", "power_now=25000000"), 80, 50, -25, 1},
		{"full", bat("BAT0", "status=Full", "capacity=100", "energy_full=50000000", "power_now=0"), 100, 0, 0, 1},
		{"a driver that does not know", bat("BAT0", "status=Unknown", "capacity=70", "energy_full=50000000", "power_now=1"), 70, nan, nan, nan},
		{"no capacity", bat("BAT0", "status=Discharging", "energy_now=10000000", "energy_full=40000000"), 25, nan, nan, 0},
		{"a mouse is not the device", joinedFiles(bat("hidpp_battery_0", "scope=Device", "status=Discharging", "capacity=5")), nan, nan, nan, nan},
		{"an empty bay", bat("BAT1", "present=0", "status=Discharging", "capacity=0"), nan, nan, nan, nan},
		{"two, of which one waits", joinedFiles(
			bat("BAT0", "status=Not charging", "capacity=90", "energy_full=20000000", "power_now=0"),
			bat("BAT1", "status=Discharging", "capacity=30", "energy_full=60000000", "power_now=8000000")), 45, -10, 8, 0},
		{"a gauge that is not set", bat("BAT0", "status=Discharging", "capacity=250"), nan, nan, nan, 0},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			s := rigOf(t, device(t, tt.files)).after(0)
			for m, want := range map[Metric]float64{Battery: tt.level, BatteryRate: tt.rate, BatteryPower: tt.power, Charging: tt.charging} {
				r := s.Get(m)
				if r.Known() == math.IsNaN(want) || r.Known() && math.Abs(r.Value-want) > 1e-9 || !r.Known() && r.Why == "" {
					t.Errorf("%v: %+v; want %v", m, r, want)
				}
			}
		})
	}
}

// Where no power is told, the level's steps tell the rate, from one to another.
func TestBatteryRateBySteps(t *testing.T) {
	var s slope
	now := time.Now()
	level := func(minute int) float64 { return 90 - float64((minute+7)/10) } // a step each 10 minutes, the first after 3
	for minute := range 45 {
		s.add(now.Add(time.Duration(minute)*time.Minute), level(minute), "Discharging")
		if rate := s.rate(); minute < 13 != math.IsNaN(rate) || minute >= 13 && math.Abs(rate+6) > 1e-9 {
			t.Fatalf("after %d minutes the rate is %v; want -6 %%/h from minute 13 on", minute, rate)
		}
	}
	s.add(now.Add(time.Hour), level(45), "Charging")
	if rate := s.rate(); !math.IsNaN(rate) {
		t.Errorf("the rate is %v when it has just begun to be charged; want it unknown", rate)
	}
}

func TestCoresOfAGroup(t *testing.T) {
	needsLinux(t)
	root := device(t, map[string]string{
		"proc/self/mountinfo": "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw",
		"proc/self/cgroup":    "0::/ue",
		"proc/meminfo":        "MemTotal:       16777216 kB\nMemAvailable:   8388608 kB",

		"sys/fs/cgroup/ue/cpu.max": "25000 100000", "sys/fs/cgroup/ue/cpu.stat": "usage_usec 1000000",
		"sys/fs/cgroup/ue/memory.max": "1000000000", "sys/fs/cgroup/ue/memory.current": "600000000",
		"sys/fs/cgroup/ue/memory.stat": "anon 1\ninactive_file 100000000",
	})
	g := rigOf(t, root)
	group := "cgroup v2 " + root + "/sys/fs/cgroup/ue"
	s := g.after(0)
	wantValue(t, s, Cores, 0.25, group)
	wantValue(t, s, MemoryTotal, 1e9, group)
	wantValue(t, s, MemoryAvailable, 5e8, group)
	wantUnknown(t, s, SystemCPU, "no average")
	set(t, root, "sys/fs/cgroup/ue/cpu.stat", "usage_usec 900000000000")
	wantValue(t, g.after(usual), SystemCPU, 1, group) // whatever time has passed, it is more than all of it
	set(t, root, "sys/fs/cgroup/ue/cpu.stat", "usage_usec 900000000000")
	wantValue(t, g.after(usual), SystemCPU, 0, group)
	set(t, root, "sys/fs/cgroup/ue/cpu.stat", "usage_usec 5") // another group of the same name
	wantUnknown(t, g.after(usual), SystemCPU, "no average")
	set(t, root, "sys/fs/cgroup/ue/cpu.stat", "nr_periods 5")
	wantUnknown(t, g.after(usual), SystemCPU, "does not tell what it used")
}

func TestFrequencyAndThrottling(t *testing.T) {
	const cpus = "sys/devices/system/cpu/"
	root := device(t, map[string]string{
		cpus + "cpufreq/policy0/affected_cpus": "0 1 2", cpus + "cpufreq/policy0/scaling_cur_freq": "1000000", cpus + "cpufreq/policy0/cpuinfo_max_freq": "2000000",
		cpus + "cpufreq/policy3/affected_cpus": "3", cpus + "cpufreq/policy3/scaling_cur_freq": "3000000", cpus + "cpufreq/policy3/cpuinfo_max_freq": "3200000",
		cpus + "cpu0/thermal_throttle/core_throttle_count": "7", cpus + "cpu0/thermal_throttle/package_throttle_count": "9",
		cpus + "cpu1/thermal_throttle/core_throttle_count": "0",
		"sys/class/thermal/cooling_device0/type":           "Processor", "sys/class/thermal/cooling_device0/cur_state": "0", "sys/class/thermal/cooling_device0/max_state": "10",
		"sys/class/thermal/cooling_device1/type": "cpufreq-cpu0", "sys/class/thermal/cooling_device1/cur_state": "3", "sys/class/thermal/cooling_device1/max_state": "12",
		"sys/class/thermal/cooling_device2/type": "Fan", "sys/class/thermal/cooling_device2/cur_state": "1", "sys/class/thermal/cooling_device2/max_state": "1",
		"sys/class/thermal/cooling_device3/type": "intel_powerclamp", "sys/class/thermal/cooling_device3/cur_state": "-1", "sys/class/thermal/cooling_device3/max_state": "50",
	})
	g := rigOf(t, root)
	s := g.after(0)
	wantValue(t, s, Frequency, 1.5e9, "scaling_cur_freq of cpufreq")
	wantValue(t, s, MaxFrequency, 3.2e9, "cpuinfo_max_freq of cpufreq")
	wantValue(t, s, Cooling, 0.25, "cooling device cpufreq-cpu0")
	wantUnknown(t, s, Throttling, "no average")
	wantValue(t, g.after(usual), Throttling, 0, "thermal_throttle of 3 counters")
	set(t, root, cpus+"cpu0/thermal_throttle/package_throttle_count", "12")
	if r := g.after(usual).Get(Throttling); !r.Known() || r.Value <= 0 {
		t.Errorf("throttling is %+v after 3 events; want it above 0", r)
	}
	set(t, root, cpus+"cpu0/thermal_throttle/package_throttle_count", "0") // a new kernel
	wantValue(t, g.after(usual), Throttling, 0, "thermal_throttle of 3 counters")
}

func TestRAPL(t *testing.T) {
	const dir = "sys/class/powercap/"
	files := map[string]string{}
	for zone, name := range map[string]string{
		"intel-rapl:0": "package-0", "intel-rapl:1": "package-1",
		"intel-rapl:0:0": "core", "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
	} {
		files[dir+zone+"/name"], files[dir+zone+"/energy_uj"], files[dir+zone+"/max_energy_range_uj"] = name, "9000000", "10000000"
	}
	root := device(t, files)
	g := rigOf(t, root)
	s := g.after(0)
	wantValue(t, s, Energy, 0, "RAPL package-0")
	wantUnknown(t, s, Power, "no average")
	for _, zone := range []string{"intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"} {
		set(t, root, dir+zone+"/energy_uj", "9999999") // parts and copies of the packages
	}
	set(t, root, dir+"intel-rapl:0/energy_uj", "9500000")
	set(t, root, dir+"intel-rapl:1/energy_uj", "1000000") // through its limit
	s = g.after(usual)
	wantValue(t, s, Energy, 2.5, "RAPL package-0")
	if v, ok := s.Value(Power); !ok || v <= 0 {
		t.Errorf("power is %v, %v; want it above 0", v, ok)
	}
	set(t, root, dir+"intel-rapl:0/energy_uj", "not a number")
	set(t, root, dir+"intel-rapl:1/energy_uj", "1000000")
	wantValue(t, g.after(usual), Energy, 2.5, "RAPL package-0") // of the other
	wantUnknown(t, rigOf(t, device(t, nil)).after(0), Energy, "no RAPL")
	wantUnknown(t, rigOf(t, device(t, map[string]string{dir + "intel-rapl:0/name": "package-0"})).after(0), Energy, "only root")
}

func TestForward(t *testing.T) {
	tests := []struct {
		why             string
		last, now, wrap uint64
		want            uint64
	}{
		{"plain", 5, 9, 100, 4},
		{"through the limit", 90, 10, 100, 20},
		{"a counter beyond its limit was another driver's", 200, 10, 100, 0},
	}
	for _, tt := range tests {
		if got := forward(tt.last, tt.now, tt.wrap); got != tt.want {
			t.Errorf("forward(%d, %d, %d) = %d; want %d: %s", tt.last, tt.now, tt.wrap, got, tt.want, tt.why)
		}
	}
}

func TestBusyShare(t *testing.T) {
	tests := []struct {
		why  string
		a, b cpu.TimesStat
		want float64
		ok   bool
	}{
		{"busy over all", cpu.TimesStat{User: 1, Idle: 10}, cpu.TimesStat{User: 2, Idle: 13}, 0.25, true},
		{"a core that waits for a disk is idle", cpu.TimesStat{}, cpu.TimesStat{System: 1, Iowait: 1}, 0.5, true},
		{"guest time is within user time", cpu.TimesStat{}, cpu.TimesStat{User: 1, Guest: 1, Idle: 1}, 0.5, true},
		{"of no time nothing can be said", cpu.TimesStat{User: 1}, cpu.TimesStat{User: 1}, 0, false},
		{"Linux' iowait may fall", cpu.TimesStat{Idle: 9}, cpu.TimesStat{User: 1, Idle: 8}, 1, true},
	}
	for _, tt := range tests {
		got, ok := busyShare(tt.a, tt.b)
		if math.Abs(got-tt.want) > 1e-9 || ok != tt.ok {
			t.Errorf("busyShare(%+v, %+v) = %v, %v; want %v, %v: %s", tt.a, tt.b, got, ok, tt.want, tt.ok, tt.why)
		}
	}
}

// needsLinux skips where what a test reads are no files.
func needsLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("these are files on Linux only; GOOS=linux go test ./handler/ue/notifier")
	}
}
