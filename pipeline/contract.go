package pipeline

// Contracts knows what models accept. It is given by the catalog to whoever reads manifests.
type Contracts interface {
	// Contract finds a model by alias or full id. The error is CodeModelUnknown, with near names as its hint.
	Contract(name string) (Contract, error)
}

// A Contract is what one model accepts.
type Contract interface {
	Model() string // the API's full id
	Makes() string // image, video, audio, 3d, or "" when the capabilities do not tell

	// Check holds a payload against the contract. Asset ids may be strings, [File] or [From] values.
	Check(payload map[string]any) Checked

	// PriceShape names what the price depends on: payloads of one shape cost the same.
	PriceShape(payload map[string]any) string
}

// Checked is a payload held against its contract.
type Checked struct {
	Payload   map[string]any // as it will be sent: with the lossless changes the contract asks for
	Files     []FileInput    // every place in Payload where an asset id goes and something stands
	TakesSeed bool           // the model has a seed input that the payload leaves open
	SeedMax   int64          // the largest seed it takes, at most 2147483647; 1 is always taken. 0: it takes none
	Problems  []Finding      // reasons not to send it
	Notes     []Finding      // changes that were made, and what deserves a look
}

// A FileInput is one place in a payload that takes an asset id.
type FileInput struct {
	Path     []any  // object keys (string) and array indexes (int), from the payload's root
	Kind     string // image, video, audio, 3d, or "" when the contract does not say
	MaxBytes int64  // 0 when the contract names no limit
}

// A Finding is something to say about one place in a payload.
type Finding struct {
	Path    []any // as in FileInput; empty means the payload as a whole
	OnKey   bool  // it is about the key itself (a wrong name), not its value
	Message string
	Hint    string
}
