// Two dialects of one document. gdb knows a register by its feature and name and takes its look
// from `type`; LLDB reads encoding, format and group instead, and finds PC, SP and the like by
// `generic`. Each ignores what is meant for the other, but gdb is sent exactly what gdbserver sends
// it: its attributes have been checked by every gdb there is.
#include "arch/target_description.h"

#include <string_view>

namespace x86 {
namespace {

constexpr std::string_view feature_names[] = {
    "org.gnu.gdb.i386.core",     "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.linux",
    "org.gnu.gdb.i386.segments", "org.gnu.gdb.i386.avx", "org.gnu.gdb.i386.avx512",
    "org.gnu.gdb.i386.pkeys",
};

// How each client is told about a type. By RegisterType.
struct TypeNames {
  std::string_view gdb;
  std::string_view encoding, format;  // LLDB
};
constexpr TypeNames type_names[] = {
    {"int64", "uint", "hex"},
    {"int32", "uint", "hex"},
    {"data_ptr", "uint", "hex"},
    {"code_ptr", "uint", "hex"},
    {"i386_eflags", "uint", "hex"},
    {"i387_ext", "vector", "vector-uint8"},  // LLDB shows no float of ten bytes
    {"int", "uint", "hex"},
    {"vec128", "vector", "vector-uint8"},
    {"i386_mxcsr", "uint", "hex"},
    {"int", "uint", "hex"},
    {"uint128", "vector", "vector-uint8"},
    {"uint64", "uint", "hex"},
    {"v2ui128", "vector", "vector-uint8"},
    {"uint32", "uint", "hex"},
};

constexpr std::string_view eflags_type =
    R"(    <flags id="i386_eflags" size="4">
      <field name="CF" start="0" end="0" type="bool"/>
      <field name="" start="1" end="1" type="bool"/>
      <field name="PF" start="2" end="2" type="bool"/>
      <field name="AF" start="4" end="4" type="bool"/>
      <field name="ZF" start="6" end="6" type="bool"/>
      <field name="SF" start="7" end="7" type="bool"/>
      <field name="TF" start="8" end="8" type="bool"/>
      <field name="IF" start="9" end="9" type="bool"/>
      <field name="DF" start="10" end="10" type="bool"/>
      <field name="OF" start="11" end="11" type="bool"/>
      <field name="NT" start="14" end="14" type="bool"/>
      <field name="RF" start="16" end="16" type="bool"/>
      <field name="VM" start="17" end="17" type="bool"/>
      <field name="AC" start="18" end="18" type="bool"/>
      <field name="VIF" start="19" end="19" type="bool"/>
      <field name="VIP" start="20" end="20" type="bool"/>
      <field name="ID" start="21" end="21" type="bool"/>
    </flags>
)";

constexpr std::string_view vec128_type =
    R"(    <vector id="v8bf16" type="bfloat16" count="8"/>
    <vector id="v8h" type="ieee_half" count="8"/>
    <vector id="v4f" type="ieee_single" count="4"/>
    <vector id="v2d" type="ieee_double" count="2"/>
    <vector id="v16i8" type="int8" count="16"/>
    <vector id="v8i16" type="int16" count="8"/>
    <vector id="v4i32" type="int32" count="4"/>
    <vector id="v2i64" type="int64" count="2"/>
    <union id="vec128">
      <field name="v8_bfloat16" type="v8bf16"/>
      <field name="v8_half" type="v8h"/>
      <field name="v4_float" type="v4f"/>
      <field name="v2_double" type="v2d"/>
      <field name="v16_int8" type="v16i8"/>
      <field name="v8_int16" type="v8i16"/>
      <field name="v4_int32" type="v4i32"/>
      <field name="v2_int64" type="v2i64"/>
      <field name="uint128" type="uint128"/>
    </union>
)";

constexpr std::string_view mxcsr_type =
    R"(    <flags id="i386_mxcsr" size="4">
      <field name="IE" start="0" end="0" type="bool"/>
      <field name="DE" start="1" end="1" type="bool"/>
      <field name="ZE" start="2" end="2" type="bool"/>
      <field name="OE" start="3" end="3" type="bool"/>
      <field name="UE" start="4" end="4" type="bool"/>
      <field name="PE" start="5" end="5" type="bool"/>
      <field name="DAZ" start="6" end="6" type="bool"/>
      <field name="IM" start="7" end="7" type="bool"/>
      <field name="DM" start="8" end="8" type="bool"/>
      <field name="ZM" start="9" end="9" type="bool"/>
      <field name="OM" start="10" end="10" type="bool"/>
      <field name="UM" start="11" end="11" type="bool"/>
      <field name="PM" start="12" end="12" type="bool"/>
      <field name="FZ" start="15" end="15" type="bool"/>
    </flags>
)";

constexpr std::string_view two_uint128_type =
    "    <vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n";

// The types a feature's registers use have to stand before them.
std::string types_of(Feature feature, Mode mode) {
  switch (feature) {
    case Feature::core:
      return std::string(eflags_type);
    case Feature::sse:
      return std::string(vec128_type).append(mxcsr_type);
    case Feature::avx512: {
      std::string types(mode == Mode::amd64 ? vec128_type : "");  // xmm16 and up
      return types.append(two_uint128_type);
    }
    default:
      return {};
  }
}

const TypeNames& names_of(RegisterType type) { return type_names[static_cast<unsigned>(type)]; }

bool is_float(const Register& reg) { return reg.component == Component::x87 && needs_xstate(reg); }

// The sets that `register read` lists, by lldb-server's names: LLDB's documentation has scripts
// look for "General Purpose".
std::string_view lldb_set(const Register& reg) {
  if (!needs_xstate(reg)) return "General Purpose Registers";
  return is_float(reg) ? "Floating Point Registers" : "Advanced Vector Extensions";
}

// LLDB's names for what it needs to find. Arguments by the psABI's calling sequence.
std::string_view lldb_generic(const Register& reg) {
  struct Generic {
    std::string_view reg, generic;
  };
  static constexpr Generic generics[] = {
      {"rip", "pc"},   {"rsp", "sp"},   {"rbp", "fp"},   {"eflags", "flags"}, {"rdi", "arg1"},
      {"rsi", "arg2"}, {"rdx", "arg3"}, {"rcx", "arg4"}, {"r8", "arg5"},      {"r9", "arg6"},
      {"eip", "pc"},   {"esp", "sp"},   {"ebp", "fp"},   {"fs_base", "tp"},
  };
  for (const Generic& row : generics) {
    if (row.reg == reg.name) return row.generic;
  }
  return {};
}

// LLDB, its users and their scripts call the 64-bit flags rflags.
struct LldbNames {
  std::string_view name, alternative;  // the latter may be empty
};
LldbNames lldb_names(Mode mode, const Register& reg) {
  if (mode == Mode::amd64 && reg.type == RegisterType::eflags) return {"rflags", reg.name};
  return {reg.name, {}};
}

void attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(" ").append(name).append("=\"").append(value).append("\"");
}

std::string common_attributes(const Register& reg) {
  std::string out;
  attribute(out, "bitsize", std::to_string(reg.bits));
  attribute(out, "type", names_of(reg.type).gdb);
  attribute(out, "regnum", std::to_string(reg.number));
  return out;
}

// gdb derives the group from the type except for these.
std::string gdb_attributes(Mode, const Register& reg) {
  std::string out;
  attribute(out, "name", reg.name);
  out += common_attributes(reg);
  if (reg.type == RegisterType::float_control) attribute(out, "group", "float");
  if (reg.type == RegisterType::mxcsr) attribute(out, "group", "vector");
  return out;
}

std::string lldb_attributes(Mode mode, const Register& reg) {
  std::string out;
  const LldbNames names = lldb_names(mode, reg);
  attribute(out, "name", names.name);
  if (!names.alternative.empty()) attribute(out, "altname", names.alternative);
  out += common_attributes(reg);
  attribute(out, "group", lldb_set(reg));
  attribute(out, "encoding", names_of(reg.type).encoding);
  attribute(out, "format", names_of(reg.type).format);
  if (reg.dwarf >= 0) {
    attribute(out, "dwarf_regnum", std::to_string(reg.dwarf));
    attribute(out, "ehframe_regnum", std::to_string(reg.dwarf));
  }
  if (const auto generic = lldb_generic(reg); !generic.empty()) attribute(out, "generic", generic);
  return out;
}

std::string_view architecture_name(Mode mode) {
  return mode == Mode::amd64 ? "i386:x86-64" : "i386";
}

std::string document(Mode mode, std::span<const Register> registers,
                     std::string (*attributes)(Mode, const Register&)) {
  std::string out =
      "<?xml version=\"1.0\"?>\n"
      "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
      "<target>\n"
      "  <architecture>";
  out.append(architecture_name(mode));
  out.append("</architecture>\n  <osabi>GNU/Linux</osabi>\n");
  for (std::size_t i = 0; i < registers.size(); ++i) {
    const Feature feature = registers[i].feature;
    if (i == 0 || feature != registers[i - 1].feature) {
      out.append("  <feature name=\"").append(feature_names[static_cast<unsigned>(feature)]);
      out.append("\">\n").append(types_of(feature, mode));
    }
    out.append("    <reg").append(attributes(mode, registers[i])).append("/>\n");
    if (i + 1 == registers.size() || feature != registers[i + 1].feature) {
      out.append("  </feature>\n");
    }
  }
  return out.append("</target>\n");
}

}  // namespace

std::string gdb_target_description(Mode mode, std::span<const Register> registers) {
  return document(mode, registers, gdb_attributes);
}

std::string bare_target_description(Mode mode) {
  return std::string("<target><architecture>")
      .append(architecture_name(mode))
      .append("</architecture><osabi>GNU/Linux</osabi></target>");
}

std::string lldb_target_description(Mode mode, std::span<const Register> registers) {
  return document(mode, registers, lldb_attributes);
}

std::string lldb_register_info(Mode mode, const Register& reg) {
  std::string out;
  const auto field = [&out](std::string_view key, std::string_view value) {
    out.append(key).append(":").append(value).append(";");
  };
  const LldbNames names = lldb_names(mode, reg);
  field("name", names.name);
  if (!names.alternative.empty()) field("alt-name", names.alternative);
  field("bitsize", std::to_string(reg.bits));
  field("offset", std::to_string(reg.offset));
  field("encoding", names_of(reg.type).encoding);
  field("format", names_of(reg.type).format);
  field("set", lldb_set(reg));
  if (reg.dwarf >= 0) {
    field("ehframe", std::to_string(reg.dwarf));
    field("dwarf", std::to_string(reg.dwarf));
  }
  if (const auto generic = lldb_generic(reg); !generic.empty()) field("generic", generic);
  return out;
}

}  // namespace x86
