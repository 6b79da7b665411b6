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
      "users.conf": `authorization { users = [
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
    await using server = await NatsServer.start(
      ...["--tls", "--tlscert", `${folder}/cert.pem`, "--tlskey", `${folder}/key.pem`],
      ...["--auth", "secret"],
    );
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
