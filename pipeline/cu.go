package pipeline

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CU is an amount of creative units, the API's currency, counted in millionths so that sums are exact.
// The API quotes fractions such as 13.25 and 0.75; a float would drift over a night of them.
type CU int64

const cuScale = 1_000_000

// ParseCU reads a decimal such as "80", "13.25" or "1.5e1". It refuses negative amounts, more than six
// decimals that matter, and anything too large to count.
func ParseCU(s string) (CU, error) {
	bad := fmt.Errorf("%q is not an amount of creative units", s)
	mantissa, exp := strings.TrimSpace(s), 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		n, err := strconv.Atoi(mantissa[i+1:])
		if err != nil || n < -20 || n > 20 {
			return 0, bad
		}
		mantissa, exp = mantissa[:i], n
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits := whole + frac
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, bad
	}
	shift := exp - len(frac) + 6 // the last digit of digits stands for 10^(shift) millionths
	digits = strings.TrimLeft(digits, "0")
	for shift < 0 && strings.HasSuffix(digits, "0") {
		digits, shift = digits[:len(digits)-1], shift+1
	}
	if digits == "" {
		return 0, nil
	}
	if shift < 0 || len(digits)+shift > 18 {
		return 0, bad
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, bad
	}
	return CU(n), nil
}

// String writes the shortest exact decimal: "80", "13.25".
func (c CU) String() string {
	sign := ""
	n := uint64(c)
	if c < 0 {
		sign, n = "-", uint64(-c)
	}
	s := fmt.Sprintf("%s%d", sign, n/cuScale)
	if f := n % cuScale; f != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", f), "0")
	}
	return s
}

// MarshalJSON writes a JSON number.
func (c CU) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalJSON reads a JSON number (or a quoted one) without passing through a float.
func (c *CU) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" {
		return nil
	}
	v, err := ParseCU(s)
	if err != nil {
		return err
	}
	*c = v
	return nil
}

// Unlimited is the budget of a run that was given none.
const Unlimited CU = math.MaxInt64
