// Connections of commands: credentials from variables, TLS, and what is said where a server refuses.
import { nkeys } from "@nats-io/transport-node";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openCluster } from "../../../../cli/shared/cluster/connect.ts";
import { readCluster } from "../../../../cli/shared/cluster/options.ts";
import { inFolder } from "../../../support/checkpoint_files.ts";
import { NatsServer, testNats } from "../../../support/nats.ts";

/** Connects with such variables, asks the server for an answer of its own, and closes. */
async function join(url: string, variables: Record<string, string>): Promise<void> {
  const { connection } = await openCluster(
    "serve",
    { url, prefix: "a" },
    (name) => variables[name],
  );
  await connection.flush();
  await connection.close();
}

/**
 * A certificate and its key, in a folder; false where there is no program that makes them. Deno takes an address of numbers for
 * localhost.
 */
async function makeCertificate(folder: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("openssl", {
      args: [
        ...["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-subj", "/CN=127.0.0.1"],
        ...[
          "-pkeyopt",
          "ec_paramgen_curve:prime256v1",
          "-addext",
          "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ],
        ...["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`],
      ],
      ...{ stdout: "null", stderr: "null" },
    }).output();
    return success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("TLS is not tested: openssl is absent");
    return false;
  }
}

testNats(
  "openCluster: a token, a user, an nkey; without or with wrong ones the server refuses",
  async () => {
    const user = nkeys.createUser();
    const seed = new TextDecoder().decode(user.getSeed());
    await inFolder({
      "users.conf": `authorization { timeout: 30, users = [
      { nkey: ${user.getPublicKey()} }
      { user: someone, password: "secret" }
    ] }`,
      "seed": `${seed}\n`,
      "other": new TextDecoder().decode(nkeys.createUser().getSeed()),
    }, async (folder) => {
      await using server = await NatsServer.start("--config", `${folder}/users.conf`);
      const { url } = server;
      await join(url, { NATS_NKEY: `${folder}/seed` });
      await join(url, { NATS_USER: "someone", NATS_PASSWORD: "secret" });
      const refused: Record<string, string>[] = [
        ...[{}, { NATS_USER: "someone", NATS_PASSWORD: "wrong" }, { NATS_TOKEN: "secret" }],
        { NATS_NKEY: `${folder}/other` },
      ];
      for (const variables of refused) {
        const error = await assertRejects(() => join(url, variables), RangeError) as Error;
        assertStringIncludes(error.message, `Cannot serve as the NATS server at ${url}`);
        assertEquals(error.message.includes("secret") || error.message.includes(seed), false);
      }
      await assertRejects(() => join(url, { NATS_NKEY: `${folder}/none` }), RangeError, "none");
    });
    await using server = await NatsServer.start("--auth", "secret");
    await join(server.url, { NATS_TOKEN: "secret" });
    await assertRejects(() => join(server.url, { NATS_TOKEN: "other" }), RangeError);
  },
);

/** A JSON Web Token as NATS has them: claims about a key, signed by another one. */
function tokenOf(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, type: string): string {
  const base64 = (bytes: Uint8Array) =>
    bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const part = (value: unknown) => base64(new TextEncoder().encode(JSON.stringify(value)));
  const [iss, sub] = [issuer, subject].map((key) => key.getPublicKey());
  // Without limits a server ends the connection at its first subscription.
  const unlimited = { subs: -1, data: -1, payload: -1 };
  const wide = { conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
  const limits = type === "account" ? { limits: { ...unlimited, ...wide } } : unlimited;
  const claims = {
    ...{ jti: "none", iat: 1, iss, sub, name: type },
    nats: { type, version: 2, ...limits },
  };
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part(claims)}`;
  return `${text}.${base64(issuer.sign(new TextEncoder().encode(text)))}`;
}

testNats("openCluster: a creds file, of a user whose account an operator signed", async () => {
  const [operator, account, user, stranger] = [
    ...[nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser(), nkeys.createUser()],
  ];
  const credsOf = (key: nkeys.KeyPair, token: string) =>
    `-----BEGIN NATS USER JWT-----\n${token}\n------END NATS USER JWT------\n
-----BEGIN USER NKEY SEED-----\n${
      new TextDecoder().decode(key.getSeed())
    }\n------END USER NKEY SEED------\n`;
  await inFolder({
    "server.conf": `operator: ${tokenOf(operator, operator, "operator")}
      authorization { timeout: 30 }
      resolver: MEMORY
      resolver_preload: { ${account.getPublicKey()}: ${tokenOf(operator, account, "account")} }`,
    "user.creds": credsOf(user, tokenOf(account, user, "user")),
    // The account's word for another user does not serve whoever has not that user's seed.
    "stolen.creds": credsOf(stranger, tokenOf(account, user, "user")),
    "forged.creds": credsOf(stranger, tokenOf(stranger, stranger, "user")),
  }, async (folder) => {
    await using server = await NatsServer.start("--config", `${folder}/server.conf`);
    await join(server.url, { NATS_CREDS: `${folder}/user.creds` });
    for (const name of ["stolen", "forged"]) {
      const variables = { NATS_CREDS: `${folder}/${name}.creds` };
      const error = await assertRejects(() => join(server.url, variables), RangeError) as Error;
      assertStringIncludes(error.message, "Authorization Violation");
    }
    await assertRejects(() => join(server.url, {}), RangeError);
  });
});

testNats("openCluster: a socket that the server resets late ends nothing", async () => {
  await using server = await NatsServer.start("--auth", "secret");
  // About one refusal in ten resets a socket that the client no longer listens to: the runner fails where nobody hears it.
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 8 }, () => assertRejects(() => join(server.url, {}), RangeError)),
    );
  }
});

testNats("openCluster: TLS, by the authority that signs the server's certificate", async () => {
  await inFolder({}, async (folder) => {
    if (!await makeCertificate(folder)) return;
    const config = `${folder}/server.conf`;
    const files = `cert_file: "${folder}/cert.pem", key_file: "${folder}/key.pem"`;
    await Deno.writeTextFile(
      config,
      `tls { ${files}, timeout: 30 }, authorization { token: secret, timeout: 30 }`,
    );
    await using server = await NatsServer.start("--config", config);
    const url = server.url.replace("nats:", "tls:");
    const NATS_TOKEN = "secret";
    await join(url, { NATS_TOKEN, NATS_CA: `${folder}/cert.pem` });
    await assertRejects(() => join(url, { NATS_CA: `${folder}/cert.pem` }), RangeError);
    await assertRejects(() => join(url, { NATS_TOKEN }), RangeError);
  });
});

Deno.test("readCluster: an address with credentials is refused, whatever its form", () => {
  const given = { text: () => undefined };
  for (const url of ["nats://h", "tls://h:1", "h:4222", "nats://[::1]:4222"]) {
    assertEquals(readCluster(given, url), { url, prefix: "onehead" });
  }
  for (const url of ["nats://a:b@h", "tls://token@h:1", "a:b@h"]) {
    let message = "";
    try {
      readCluster(given, url);
    } catch (error) {
      message = (error as Error).message;
    }
    assertStringIncludes(message, "from the environment");
  }
});
