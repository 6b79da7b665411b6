// Is there a WebGPU adapter, and if not, can this machine have one in software?

const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];
const APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"];

/** Whether a fresh process finds an adapter: drivers are read once a process, and a broken one may end it. */
export async function adapterAnswers(): Promise<boolean> {
  const probe = "Deno.exit(await navigator.gpu?.requestAdapter() ? 0 : 1)";
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", probe],
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

/**
 * Installs Mesa's software Vulkan driver where the system is Debian's kind and the process may.
 *
 * @throws {Error} If it may not, or if there is still no adapter afterwards; the message names the cure.
 */
export async function installSoftwareVulkan(): Promise<void> {
  if (Deno.build.os !== "linux") {
    throw new Error(
      "Cannot run as no WebGPU adapter is found: a GPU with Metal or Vulkan is needed",
    );
  }
  if (!await succeeds(["apt-get", "--version"])) {
    throw new Error(
      "Cannot run as no Vulkan adapter is found: install the GPU's Vulkan driver, or Mesa's software one " +
        "(package mesa-vulkan-drivers on Fedora, vulkan-swrast on Arch), and run again",
    );
  }
  const prefix = await rootPrefix();
  if (prefix === undefined) {
    const asRoot = await succeeds(["sudo", "--version"]) ? "sudo sh -c" : "su - -c";
    throw new Error(
      "Cannot run as no Vulkan adapter is found. Install the GPU's Vulkan driver, or Mesa's software one " +
        `with this command, and run again:\n  ${asRoot} "apt-get update && ` +
        `apt-get install --yes --no-install-recommends ${PACKAGES.join(" ")}"`,
    );
  }
  console.error(
    `No Vulkan adapter is found: installing Mesa's software driver (${PACKAGES.join(", ")}).`,
  );
  await succeeds([...prefix, ...APT, "update"]); // if not, the lists that are there may do
  await install([...prefix, ...APT, "install", "--yes", "--no-install-recommends", ...PACKAGES]);
  if (!await adapterAnswers()) {
    throw new Error(
      "Cannot run as no Vulkan adapter is found, even with Mesa's software driver installed",
    );
  }
}

/** What to put before a command to run it as root: nothing for root itself; undefined where that needs a password. */
async function rootPrefix(): Promise<string[] | undefined> {
  const quietly = ["env", "DEBIAN_FRONTEND=noninteractive"];
  if (Deno.uid() === 0) return quietly;
  if (await succeeds(["sudo", "-n", "true"])) return ["sudo", "-n", ...quietly];
}

async function succeeds([program, ...args]: string[]): Promise<boolean> {
  try {
    const options = { args, stdin: "null", stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command(program, options).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function install([program, ...args]: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  if (!success) {
    const reason = new TextDecoder().decode(stderr).trim();
    throw new Error(`Cannot install ${PACKAGES.join(", ")}:\n${reason}`);
  }
}
