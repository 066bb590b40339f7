// What the scripts share: their input, and how they report the outcome of a step.

// outcome returns what a report has of a token response.
function outcome(response) {
  return {
    type: response.token_type.toLowerCase(),
    kind: response.access_token.slice(0, 4),
    scope: response.scope,
    refreshable: response.refresh_token !== undefined,
  };
}

// error returns the error code of a request that must fail.
outcome.error = async (request) => {
  try {
    await request;
  } catch (problem) {
    const challenge = problem.code === "OAUTH_WWW_AUTHENTICATE_CHALLENGE" && problem.status === 401;
    return problem.error ?? problem.data?.payload?.error ?? (challenge ? "invalid_client" : String(problem));
  }
  return "none";
};

// introspection returns what a report has of an introspection.
outcome.introspection = (response) => ({ active: response.active, scope: response.scope, client: response.client_id });

// run reads the input.
export async function run() {
  let text = "";
  for await (const part of process.stdin) text += part;
  return { asked: JSON.parse(text), outcome, report: {} };
}
