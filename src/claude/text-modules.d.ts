/** Files that are bundled as their text (`with { type: "text" }`). */
declare module "*.sh" {
  const text: string;
  export default text;
}
