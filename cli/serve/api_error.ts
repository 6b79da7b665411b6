/** Errors in the shape that clients of the OpenAI API read. */

/** A fault of a client, or a request that the server cannot serve now. */
export class ApiError extends Error {
  /** The class's name. */
  override readonly name = "ApiError";
  readonly status: number;
  readonly kind: string;
  /** The parameter that is wrong. */
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    { kind = "invalid_request_error", param = null, code = null, headers = {} }: {
      kind?: string;
      param?: string | null;
      code?: string | null;
      headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.param = param;
    this.code = code;
    this.headers = headers;
  }

  /** The body of the response, or of the event that ends a stream. */
  get body(): {
    error: { message: string; type: string; param: string | null; code: string | null };
  } {
    const { message, kind: type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  /** The response. */
  toResponse(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

/** The server is not at fault, and the client may try again later. */
export function unavailable(message: string, code: string): ApiError {
  return new ApiError(503, message, {
    ...{ kind: "server_error", code },
    headers: { "retry-after": "1" },
  });
}
