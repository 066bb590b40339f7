package fields

// Form parses a form, as Read does.
func Form(text string, known ...string) (Fields, error) {
	v := values{}
	return Fields{v}, v.readForm(known, text)
}

// Multipart parses a multipart body, as Read does.
func Multipart(text, boundary string, known ...string) (Fields, error) {
	v := values{}
	return Fields{v}, v.readMultipart(known, text, boundary)
}

// JSON parses an object, as Read does.
func JSON(text string, known ...string) (map[string]any, error) {
	return parseJSON(known, []byte(text))
}

// Written returns the fields of a form.
func (f Fields) Written() map[string]string {
	all := map[string]string{}
	for name, v := range f.values {
		all[name] = string(v.(written))
	}
	return all
}
