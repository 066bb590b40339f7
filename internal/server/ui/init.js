"use strict";

// Who logs in with a password alone is no client with a secret. Left to itself, Swagger UI would send the Basic credentials
// of a client without a name all the same, and servers refuse them. A client without a secret is named in the body.
const clientOnlyWithSecret = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorizePassword: (logIn) => (as) => logIn(as.clientSecret ? as : { ...as, passwordType: "request-body" }),
      },
    },
  },
};

// Each way to log in asks for the focus when the dialog opens, and the last one would get it, out of sight of the first.
const dialogBeginsAtItsTop = {
  wrapComponents: {
    authorizationPopup: (Dialog, { React }) => (props) => {
      React.useEffect(() => document.querySelector(".modal-ux input")?.focus(), []);
      return React.createElement(Dialog, props);
    },
  },
};

SwaggerUIBundle({
  dom_id: "#ui",
  url: "/openapi.json",
  plugins: [clientOnlyWithSecret, dialogBeginsAtItsTop],

  // What is entered goes to this server alone, and is forgotten with the tab. A link to the page sets nothing.
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
  withCredentials: false, // this origin gets its cookies anyway, and no other may

  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  requestSnippetsEnabled: false, // curl is shown without them
  tryItOutEnabled: true,
});
