/** The environment that makes Vulkan programs use SwiftShader, a driver that Debian's package chromium brings. */
export type SwiftShader = Record<"VK_DRIVER_FILES" | "VK_ICD_FILENAMES", string>;

/** Finds SwiftShader: subgroups of 4, no f16. Nothing where it is not installed. */
export async function swiftShader(): Promise<SwiftShader | undefined> {
  try {
    const args = ["-L", "chromium", "chromium-common"];
    const { stdout } = await new Deno.Command("dpkg", { args, stderr: "null" }).output();
    const files = new TextDecoder().decode(stdout).split("\n");
    const driver = files.find((file) => file.endsWith("/vk_swiftshader_icd.json"));
    return driver ? { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver } : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
