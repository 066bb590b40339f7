package decode

// ParseForm parses a form, as Read does.
func ParseForm(text string, known ...string) (Fields, error) {
	v := values{}
	return Fields{v}, v.readForm(knownNames{names: known}, text)
}

// ParseMultipart parses a multipart body, as Read does.
func ParseMultipart(text, boundary string, known ...string) (Fields, error) {
	v := values{}
	return Fields{v}, v.readMultipart(knownNames{names: known}, text, boundary)
}

// ParseJSON parses an object, as Read does.
func ParseJSON(text string, known ...string) (map[string]any, error) {
	return parseJSON(knownNames{names: known}, []byte(text))
}

// FormValues returns the fields of a form.
func (f Fields) FormValues() map[string]string {
	all := map[string]string{}
	for name, v := range f.values {
		all[name] = string(v.(untyped))
	}
	return all
}
